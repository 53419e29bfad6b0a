"""What an import writes loads, whatever dbt calls things: a name that cannot be one here is another
one, and what does not load is disabled or left out, with its error in the report."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from dagster_models import models_executor
from dagster_models.cli.main import main
from dagster_models.dbt.importing import ImportOptions, import_project
from dagster_models.definitions.launch import location_of
from dagster_models.project.problems import errors_of
from dagster_models.sql.literals import layout
from dbt_cases import dbt_test, manifest_of, step
from project_cases import load

NOT_NULL = "{% test not_null(model, column_name) %}select 1{% endtest %}"


def sql(name: str, text: str = "select 1 as x", folder: str = "marts", **given: Any) -> Any:
    found = step(name, raw_code=text, language="sql", **given)
    return {
        **found,
        "original_file_path": f"models/{folder}/{name}.sql",
        "path": f"{folder}/{name}",
    }


def seed(root: Path, name: str, text: str) -> Any:
    (root / "seeds").mkdir(parents=True, exist_ok=True)
    (root / f"seeds/{name}.csv").write_text(text)
    path = {"original_file_path": f"seeds/{name}.csv", "path": f"{name}.csv"}
    return {**step(name, kind="seed"), **path}


def source(name: str, table: str) -> Any:
    return {
        "unique_id": f"source.shop.{name}.{table}",
        "resource_type": "source",
        "package_name": "shop",
        "source_name": name,
        "name": table,
        "identifier": table,
        "database": "dev",
        "schema": name,
        "relation_name": f'"dev"."{name}"."{table}"',
        "original_file_path": "models/s.yml",
        "config": {},
        "columns": {},
    }


def imported(root: Path) -> tuple[int, Any]:
    code = main(["import-dbt", str(root)])
    into = root.with_name(f"{root.name}_models")
    return code, json.loads((into / ".dagster_models_import/report.json").read_text())


def test_each_kind_of_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "shop"
    names = ["Ümläut", "Umlaut", "订单", "my-model", "my model", "my.model", "1st"]
    reads = [f"model.shop.{name}" for name in names]
    refs = " union all ".join(f"select x from {{{{ ref('{name}') }}}}" for name in names)
    sources = [source("röh", "ördérs"), source("a b", "x y"), source("a.b", "x y")]
    from_sources = "select * from {{ source('röh', 'ördérs') }}, {{ source('a.b', 'x y') }}"
    named = [dbt_test("model.shop.1st", "not_null", "x", name=f"m{it}ß") for it in ("u", "ü")]
    manifest_of(
        root,
        *(sql(name) for name in names),
        *(sql("reader", refs, depends_on={"nodes": reads, "macros": []}),),
        sql("of_sources", from_sources, depends_on={"nodes": [it["unique_id"] for it in sources]}),
        sql("x", folder="1. Stägîng/süb"),
        sql("hidden", folder="__pycache__"),
        seed(root, "séed", "a\n1\n"),
        *named,
        dbt_test("source.shop.röh.ördérs", "not_null", "id"),
        sources={it["unique_id"]: it for it in sources},
        macros={"macro.dbt.test_not_null": NOT_NULL},
    )
    code, report = imported(root)
    assert (code, report["errors"]) == (0, {})
    project = load(tmp_path / "shop_models", columns=False)
    assert errors_of(project.warnings) == []
    keys = {str(key): step for key, step in project.steps.items()}
    umlauts = {
        key: it.relation.name for key, it in keys.items() if it.relation and key[-6:] == "Umlaut"
    }
    assert umlauts == {"marts.Umlaut": "Umlaut", "shop_model.Umlaut": "Ümläut"}
    assert len(keys) == len(names) + 5, "none is written over another"
    assert len(set(keys["marts.reader"].upstream)) == len(names)
    read = {str(project.sources[key].relation) for key in keys["marts.of_sources"].upstream}
    assert read == {"röh.ördérs", "a.b.x y"}
    assert {it.name for it in keys["marts.1st"].checks} == {"mu_", "mu__2"}
    remarks = {it["of"]: it["what"] for it in report["remarks"]}
    assert remarks["seed.shop.séed"].startswith("it is `seed` here, as a name has no more than")
    assert remarks["source.shop.röh.ördérs"].startswith("it is `roh.orders` here")


def test_what_does_not_load_is_disabled_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shop"
    manifest_of(
        root,
        sql("Orders"),
        sql("orders", folder="other"),
        sql(
            "reader",
            "select x from {{ ref('orders') }}",
            depends_on={"nodes": ["model.shop.orders"]},
        ),
        seed(root, "twice", "a,a\n1,2\n"),
        dbt_test("model.shop.orders", "not_null", "x"),
        macros={"macro.dbt.test_not_null": NOT_NULL},
    )
    code, report = imported(root)
    assert code == 0
    why = "the relation `marts.orders` is also built by models/marts/Orders.sql"
    models = {it["path"]: it["why"] for it in report["models"] if it["disabled"]}
    assert models == {"models/other/orders.sql": why}
    said = capsys.readouterr().out
    assert f"  orders: {why}\n" in said
    remarks = [it["what"] for it in report["remarks"]]
    assert "the seed is not written: two columns are named `a`" in remarks
    assert any("it reads model.shop.orders, which is not imported" in it for it in remarks)
    into = tmp_path / "shop_models"
    assert (into / "models/other/orders.sql.dbt").read_text() == "select 1 as x"
    assert not (into / "seeds/twice.csv").exists()
    with_problems = load(into, columns=False, whole=False).warnings
    assert {it.path for it in errors_of(with_problems)} <= {"models/marts/reader.sql"}


def test_a_check_that_reads_what_is_disabled_is_in_no_header(tmp_path: Path) -> None:
    """The second import of a project, in which the model is disabled, keeps no file of the first
    that says something else."""
    lost, kept = "model.shop.orders", "model.shop.kept"
    reads = {"to": "ref('orders')", "field": "x", "reads": [lost]}
    manifest_of(
        tmp_path / "shop",
        sql("Orders"),
        sql("orders", folder="other"),
        sql("kept"),
        dbt_test(kept, "not_null", "x"),
        dbt_test(kept, "relationships", "x", **reads),
        macros={f"macro.dbt.test_{it}": NOT_NULL for it in ("not_null", "relationships")},
    )
    code, report = imported(tmp_path / "shop")
    assert (code, report["errors"]) == (0, {})
    assert (tmp_path / "shop_models/models/marts/kept.sql").read_text() == (
        "/* @model\nmaterialized: view\ncolumns:\n  x:\n    checks:\n    - not_null\n*/\n"
        "select 1 as x\n"
    )


def test_what_it_prints_next_works_and_a_folder_is_one_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, into = tmp_path / "shop", tmp_path / "my shop"
    manifest_of(root, sql("a"))
    (root / "target").rename(tmp_path / "elsewhere")
    call = ["import-dbt", str(root), "--into", str(into), "--manifest"]
    assert main([*call, str(root)]) == 2
    assert capsys.readouterr().err == f"--manifest: the folder {root} has no manifest.json\n"
    assert main([*call, str(tmp_path / "elsewhere")]) == 0
    check, run, ui = capsys.readouterr().out.splitlines()[-3:]
    assert check == f"cd '{into}' && dagster-models check"
    assert run == "dagster-models run"
    assert ui.startswith('DAGSTER_HOME="$PWD/.dagster_home" ')
    assert ui.endswith("dagster dev -f definitions.py")
    for option in ("--manifest", "--profiles"):
        assert main(["import-dbt", str(root), option, str(tmp_path / "none")]) == 2
        assert capsys.readouterr().err == f"{option}: there is no file {tmp_path / 'none'}\n"
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1")
    monkeypatch.chdir(into)
    with location_of(into, {}) as location:
        assert set(location.keys) == {"marts.a"}
    assert os.environ["DAGSTER_HOME"] == str(into / ".dagster_home")


@pytest.mark.parametrize("exposures", [{}, {"exposure.shop.board": {"name": "board"}}])
def test_what_is_written_runs_without_a_job_as_its_jobs_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exposures: dict[str, Any]
) -> None:
    """ "Materialize" in the UI starts such runs."""
    root = tmp_path / "shop"
    reads = {"depends_on": {"nodes": ["model.shop.a"]}}
    given = {name: {**it, "type": "dashboard", **reads} for name, it in exposures.items()}
    manifest_of(root, sql("a"), exposures=given)
    assert main(["import-dbt", str(root)]) == 0
    into = tmp_path / "shop_models"
    monkeypatch.syspath_prepend(str(into))
    monkeypatch.delitem(sys.modules, "exposures", raising=False)
    loaded = runpy.run_path(str(into / "definitions.py"))["defs"]
    without_a_job = loaded.resolve_implicit_global_asset_job_def()
    assert without_a_job.executor_def is models_executor
    assert len(loaded.resolve_asset_graph().get_all_asset_keys()) == 1 + len(exposures)


def test_no_name_means_two_things_where_folders_schemas_and_sources_have_the_same_one(
    tmp_path: Path,
) -> None:
    """A model in the folder `stripe` beside a source `stripe`, and sources in whose schemas other
    sources and models seem to be."""
    root = tmp_path / "shop"
    in_schema = source("crm", "lead") | {"schema": "marts", "relation_name": '"old"."marts"."lead"'}
    crossed = source("left", "t") | {"schema": "right", "relation_name": '"dev"."right"."t"'}
    also = source("right", "t") | {"schema": "left", "relation_name": '"dev"."left"."t"'}
    bare = source("app", "other") | {
        "identifier": "events",
        "relation_name": '"dev"."app"."events"',
    }
    raw = source("stripe", "invoices") | {
        "schema": "raw",
        "relation_name": '"dev"."raw"."invoices"',
    }
    sources = [raw, in_schema, crossed, also, bare]
    text = " union all ".join(
        f"select 1 as x from {{{{ source('{it['source_name']}', '{it['name']}') }}}}"
        for it in sources
    )
    models = ["invoices", "lead", "events"]
    text += "".join(f" union all select x from {{{{ ref('{it}') }}}}" for it in models)
    reads = [it["unique_id"] for it in sources] + [f"model.shop.{it}" for it in models]
    manifest_of(
        root,
        sql("invoices", folder="stripe"),
        sql("lead"),
        sql("events"),
        sql("reader", text, depends_on={"nodes": reads, "macros": []}),
        sources={it["unique_id"]: it for it in sources},
    )
    code, report = imported(root)
    assert (code, report["errors"]) == (0, {})
    assert not [it for it in report["models"] if it["disabled"]]
    project = load(tmp_path / "shop_models", columns=False)
    reader = next(it for key, it in project.steps.items() if key.name == "reader")
    read = [str(project.sources[key].relation) for key in reader.upstream if key in project.sources]
    assert sorted(read) == ["app.events", "left.t", "marts.lead", "raw.invoices", "right.t"]
    assert (tmp_path / "shop_models/models/stripe/invoices.sql").is_file()
    assert len(reader.upstream) == 8
    remarks = {it["of"]: it["what"] for it in report["remarks"]}
    assert remarks["source.shop.stripe.invoices"] == (
        "it is `stripe_2.invoices` here, as something else has the name that dbt has for it"
    )


def test_models_of_the_root_whose_schemas_are_as_many_have_each_its_own(tmp_path: Path) -> None:
    """Three tables of one name in three schemas, of which the project can have one as its own."""
    root = tmp_path / "shop"
    models = [
        {**sql(f"model_{it}", folder="."), "path": f"model_{it}.sql", "alias": "same"}
        for it in "cab"
    ]
    for it, schema in zip(models, ("here", "there", "beyond"), strict=True):
        it |= {"schema": schema, "relation_name": f'"dev"."{schema}"."same"'}
    manifest_of(root, *models)
    code, report = imported(root)
    assert (code, report["errors"], report["ways"]) == (0, {}, {"source": 3})
    steps = load(root.with_name("shop_models")).steps.values()
    found = {it.key.name: f"{it.relation.schema}.{it.relation.name}" for it in steps}
    assert found == {"model_c": "here.same", "model_a": "there.same", "model_b": "beyond.same"}


def test_a_project_without_models_loads(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    manifest_of(root, seed(root, "rates", "id\n1\n"))
    code, report = imported(root)
    assert (code, report["errors"]) == (0, {})
    assert [str(key) for key in load(root.with_name("shop_models")).steps] == ["seeds.rates"]


@pytest.mark.parametrize(
    "said", ["/* not */ closed */", "/* never closed", "never begun */", "/*/"]
)
def test_a_description_neither_begins_nor_ends_a_comment(tmp_path: Path, said: str) -> None:
    """Comments nest in DuckDB and PostgreSQL, and the header stands in one."""
    manifest_of(tmp_path / "shop", sql("a", description=said))
    code, report = imported(tmp_path / "shop")
    assert (code, report["errors"], report["ways"]) == (0, {}, {"source": 1})
    (step,) = load(tmp_path / "shop_models").steps.values()
    assert step.config.description == said
    text = (tmp_path / "shop_models/models/marts/a.sql").read_text()
    assert layout(text, "duckdb").said(text) == ["select", "1", "as", "x"]


@pytest.mark.parametrize("plain", [True, False])
def test_microbatches_of_several_sizes_have_a_job_each(
    tmp_path: Path, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has the partitions of one set, so a job of all would not load."""
    root = tmp_path / "shop"
    batches = {"materialized": "incremental", "incremental_strategy": "microbatch"}
    batches |= {"event_time": "at", "begin": "2024-01-01"}
    text = "select 1 as x, timestamp '2024-01-01' as at"
    sizes = ("day", "month")
    models = [sql(it, text, config={**batches, "batch_size": it}) for it in sizes]
    models.append(sql("python", config={**batches, "batch_size": "hour"}, materialized="odd"))
    models[-1]["language"] = "python"
    manifest_of(root, *models, *([sql("whole")] if plain else []))
    code, report = imported(root)
    assert (code, report["errors"]) == (0, {})
    into = root.with_name("shop_models")
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1")
    monkeypatch.chdir(into)
    jobs = {"shop_days_from_2024_01_01", "shop_months_from_2024_01_01", *(["shop"] * plain)}
    with location_of(into, {}) as location:
        found = {
            name: {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
            for name in location.loaded.jobs
            if name in jobs and (job := location.loaded.job(name))
        }
    assert found.pop("shop", {"marts/whole"}) == {"marts/whole"}
    assert found == {
        "shop_days_from_2024_01_01": {"marts/day"},
        "shop_months_from_2024_01_01": {"marts/month"},
    }


def test_relations_that_only_their_databases_tell_apart_are_in_two_schemas(tmp_path: Path) -> None:
    """A target here is one database. Those of the database of most steps keep their schema."""
    root = tmp_path / "shop"
    care = {"alias": "patients", "schema": "olids", "database": "care"}
    other = {**care, "database": "research"}
    manifest_of(
        root,
        sql("more", **care | {"alias": "more", "relation_name": "care.olids.more"}),
        sql("patients", **care, relation_name="care.olids.patients"),
        sql("others", folder="research", **other, relation_name="research.olids.patients"),
        sql(
            "reader",
            "select * from {{ ref('others') }}",
            depends_on={"nodes": ["model.shop.others"]},
        ),
    )
    code, report = imported(root)
    assert (code, report["errors"]) == (0, {})
    assert not [it for it in report["models"] if it["disabled"]]
    project = load(tmp_path / "shop_models", columns=False)
    relations = {key.name: str(it.relation) for key, it in project.steps.items()}
    assert relations["patients"] == "olids.patients"
    assert relations["others"] == "research_olids.patients"
    others = next(it for it in report["models"] if it["unique_id"] == "model.shop.others")
    what = "a step of another database has its name, so it is in the schema `research_olids`"
    assert {"weight": "differs", "what": what} in others["remarks"]


@pytest.mark.parametrize(
    "cte",
    [
        "orders as (select 1 as id)",
        "orders(id) as (select 1)",
        "orders (id)as not materialized (select 1)",
        '"orders" (\n  "id"\n) AS MATERIALIZED\n  (select 1)',
    ],
)
def test_a_name_that_a_cte_has_is_written_with_its_schema(tmp_path: Path, cte: str) -> None:
    orders = step("orders", raw_code="select 2 as id")
    text = f"with other as (select 3), {cte} select * from {{{{ ref('orders') }}}}, orders"
    manifest = manifest_of(tmp_path, orders, step("reads", "model.shop.orders", raw_code=text))
    done = import_project(manifest, ImportOptions())
    assert str(done.files["models/marts/reads.sql"]).endswith("* from marts.orders, orders\n")
