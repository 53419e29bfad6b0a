"""Loading a project folder: real files, and the compiled SQL run on a real DuckDB."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_models.compilation.sql_text import (
    check_sql,
    compile_step,
    compile_tables,
    compile_text,
    relation_for,
    relation_sql,
)
from dagster_models.core.model import (
    Job,
    Key,
    Location,
    Project,
    Relation,
    Retries,
    Schedule,
    Source,
)
from dagster_models.core.tasks import CheckTask
from dagster_models.errors import ProjectError, SqlSyntaxError
from dagster_models.project.targets import usable_target
from paths import DATA
from project_cases import load, report_of, split_case, write_project

ERRORS = sorted((DATA / "errors").glob("*.txt"))
SHOP = DATA / "projects" / "shop"


def make(root: Path, files: Mapping[str, str], sources: tuple[Source, ...] = ()) -> Project:
    return load(write_project(root, dict(files)), sources=sources, environ={})


def upstream(project: Project, key: str) -> list[str]:
    schema, name = key.split(".")
    return [str(read) for read in project.steps[Key(schema, name)].upstream]


def version(root: Path, files: Mapping[str, str], key: str = "main.a") -> str:
    """The code version of one step in a project made anew."""
    shutil.rmtree(root, ignore_errors=True)
    schema, name = key.split(".")
    return make(root, files).steps[Key(schema, name)].code_version


# --- the exact report of what is wrong -------------------------------------------------------


@pytest.mark.parametrize("case", ERRORS, ids=lambda path: path.stem)
def test_the_report(case: Path, tmp_path: Path) -> None:
    files, expected = split_case(case.read_text(encoding="utf-8"))
    root = tmp_path / "p"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    assert expected.strip(), "a case without a report proves nothing"
    assert report_of(root) == expected


def test_there_are_cases() -> None:
    assert len(ERRORS) >= 12


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no such folder" in report_of(tmp_path / "nowhere")


def test_a_file_that_is_not_utf8_is_reported_with_its_place(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"models/b.sql": "select * from a"})
    (root / "models/a.sql").write_bytes(b"select 1 as x\n  -- gr" + b"\xfc\xdf")
    report = report_of(root)
    assert "models/a.sql:2:8: error: the file is not UTF-8: byte 0xfc at offset 21" in report
    assert "1 problem" in report, "to its reader it must not be unknown"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"models/b.sql": "select * from a"})
    (root / "models/a.sql").symlink_to(root / "gone.sql")
    assert "models/a.sql:1:1: error: cannot be read: No such file" in report_of(root)


def test_every_error_of_all_changedis_in_one_report(tmp_path: Path) -> None:
    files = {f"models/m{i}.sql": f"/* @model\nkye{i}: 1\n*/\nselect from" for i in range(5)}
    with pytest.raises(ProjectError) as caught:
        make(tmp_path, files)
    assert len(caught.value.problems) == 10


# --- the shop: a project with one of everything ----------------------------------------------


@pytest.fixture(scope="module")
def shop() -> Project:
    return load(SHOP, environ={"SHOP_THREADS": "7"})


def test_the_shop_is_read_whole(shop: Project) -> None:
    assert {str(key): step.kind for key, step in shop.steps.items()} == {
        "seeds.customers": "seed",
        "ref.countries": "seed",
        "scripts.import_orders": "script",
        "scripts.notify": "script",
        "staging.stg_orders": "sql",
        "staging.stg_payments": "sql",
        "marts.by_status": "sql",
        "marts.forecast": "python",
        "marts.revenue": "sql",
        "main.top": "sql",
    }
    assert (shop.name, shop.dialect, shop.default_target) == ("shop", "duckdb", "dev")
    assert shop.defaults["fail_fast"] == "drain"
    assert shop.defaults["max_concurrent"] == 3
    assert [str(warning) for warning in shop.warnings] == [
        "scripts/notify.py:9:1: warning: `finance_report` is not a model, seed or source of"
        " this project\n    Declare it in models/sources.yaml if this project only reads it."
    ]


def test_what_reads_what(shop: Project) -> None:
    assert {str(key): upstream(shop, str(key)) for key in shop.steps} == {
        "seeds.customers": [],
        "ref.countries": [],
        "scripts.import_orders": [],
        # from the text, from `downstream:` of the script, from its relationships check
        "staging.stg_orders": ["raw.orders", "scripts.import_orders", "seeds.customers"],
        # from the text, from the script, from a check of checks/
        "staging.stg_payments": ["raw.payments", "scripts.import_orders", "staging.stg_orders"],
        "marts.revenue": ["staging.stg_orders", "seeds.customers"],
        "marts.by_status": ["staging.stg_orders"],
        "marts.forecast": ["staging.stg_orders", "marts.revenue", "marts.by_status"],
        "main.top": ["marts.revenue"],
        "scripts.notify": ["main.top", "scripts.import_orders", "marts.revenue"],
    }


def test_steps_come_after_what_only_their_checks_read(tmp_path: Path) -> None:
    header = "/* @model\ncolumns: {n: {checks: [{relationships: {to: z, field: n}}]}}\n*/\n"
    files = {"models/a.sql": f"{header}select 1 as n", "models/z.sql": "select 1 as n"}
    loaded = load(write_project(tmp_path, files))
    assert [key.name for key in loaded.steps] == ["z", "a"]


def test_steps_come_after_what_they_read(shop: Project) -> None:
    order = list(shop.steps)
    for key, step in shop.steps.items():
        for read in step.upstream:
            if read in shop.steps:
                assert order.index(read) < order.index(key)


def test_defaults_by_folder_and_the_own_header(shop: Project) -> None:
    orders = shop.steps[Key("staging", "stg_orders")].config
    revenue = shop.steps[Key("marts", "revenue")].config
    forecast = shop.steps[Key("marts", "forecast")].config
    assert (orders.materialized, orders.owner, orders.tags) == (
        "view",
        ("staging@example.com",),
        ("all",),
    )
    assert (revenue.materialized, revenue.tags) == ("table", ("all", "mart"))
    assert revenue.meta == {"team": "data", "tier": 2}
    assert revenue.retries == Retries(2, 300.0, "exponential", "full")
    assert (revenue.timeout_seconds, revenue.on_error) == (7200.0, "continue")
    assert (forecast.materialized, forecast.timeout_seconds) == ("table", None)
    assert forecast.owner == ("a@example.com", "team:data")
    notify = shop.steps[Key("scripts", "notify")].config
    assert (notify.pool, notify.retries, notify.on_error) == ("ops", Retries(2), "abort")
    groups = {str(key): step.config.group for key, step in shop.steps.items()}
    assert groups["marts.revenue"] == "marts"
    assert groups["main.top"] == "main"
    seed = shop.steps[Key("seeds", "customers")].config
    assert seed.column_types == {"id": "integer", "name": "varchar"}


def test_columns_and_checks_of_the_shop(shop: Project) -> None:
    orders = shop.steps[Key("staging", "stg_orders")]
    assert orders.config.columns[0].description == "The order's number."
    assert [(c.name, c.severity, c.test, c.column) for c in orders.checks] == [
        ("unique_id", "error", "unique", "id"),
        ("not_null_id", "error", "not_null", "id"),
        ("accepted_values_status", "error", "accepted_values", "status"),
        ("status_is_known", "warn", "not_null", "status"),
        ("relationships_customer_id", "error", "relationships", "customer_id"),
    ]
    assert orders.checks[1].location == Location("models/staging/stg_orders.sql", 4, 74)
    # The most downstream of what the query reads, and the one that its header names.
    revenue = shop.steps[Key("marts", "revenue")].checks
    assert [(c.name, c.severity, c.model) for c in revenue] == [
        ("amounts_add_up", "warn", Key("marts", "revenue"))
    ]
    assert [c.name for c in shop.steps[Key("staging", "stg_payments")].checks] == ["paid"]


def test_jobs_and_schedules_of_the_shop(shop: Project) -> None:
    tags = {"team": "data", "paged": "true"}
    assert shop.jobs == (Job("nightly", 'group:"marts"', "All marts.", tags),)
    assert shop.schedules == (
        Schedule("nightly", "nightly", "0 3 * * *", "Europe/Berlin"),
        Schedule("hourly", "nightly", "0 * * * *", "UTC"),
    )


def test_targets_and_the_environment(shop: Project) -> None:
    dev = usable_target(shop)
    assert (dev.threads, dev.schema_prefix, dev.settings["memory_limit"]) == (7, "dev_", "1GB")
    assert dev.settings["path"] == str(SHOP / "target" / "shop.duckdb")
    with pytest.raises(ProjectError, match=r"needs the environment variable SHOP_WAREHOUSE"):
        usable_target(shop, "prod")
    with pytest.raises(ProjectError, match=r"no target `prd`\n +Did you mean `prod`"):
        usable_target(shop, "prd")
    other = load(SHOP, environ={"SHOP_WAREHOUSE": "/srv/data"})
    assert usable_target(other, "prod").settings["path"] == "/srv/data/shop.duckdb"
    with pytest.raises(ProjectError, match="SHOP_THREADS"):
        usable_target(other)


def test_relations_on_a_target(shop: Project) -> None:
    dev = usable_target(shop)
    revenue = relation_for(shop, Key("marts", "revenue"), dev)
    assert revenue == Relation("dev_finance", "revenue_by_customer")
    assert relation_for(shop, Key("raw", "orders"), dev) == Relation("raw_prod", "orders_v2")
    with pytest.raises(ValueError, match="is a script"):
        relation_for(shop, Key("scripts", "notify"), dev)
    with pytest.raises(KeyError):
        relation_for(shop, Key("raw", "nothing"), dev)
    assert compile_tables(shop, shop.steps[Key("scripts", "notify")], dev) == {
        "top": '"dev_main"."top"',
        "revenue": '"dev_finance"."revenue_by_customer"',
    }


def test_the_compiled_text_is_the_users_own(shop: Project) -> None:
    dev = usable_target(shop)
    orders = shop.steps[Key("staging", "stg_orders")]
    compiled = compile_step(shop, orders, dev)
    expected = orders.sql.replace("RAW.Orders", '"raw_prod"."orders_v2" AS "orders"')
    assert compiled == expected.replace("$least", "10")
    forecast = shop.steps[Key("marts", "forecast")]
    assert [compile_text(shop, forecast, query, dev) for query in forecast.queries] == [
        'create temp table recent as select * from "dev_staging"."stg_orders"',
        "select count(*) as orders from recent",
        'select name, amount from "dev_finance"."revenue_by_customer" AS "revenue"'
        " where amount > 10",
    ]
    with pytest.raises(ValueError, match="is a python"):
        compile_step(shop, forecast, dev)
    with pytest.raises(SqlSyntaxError):
        compile_text(shop, forecast, "select $unknown", dev)


def build(project: Project, connection: duckdb.DuckDBPyConnection) -> None:
    """Every SQL step and seed of *project*, as a worker would, in the project's order."""
    target = usable_target(project)
    for key, step in project.steps.items():
        if step.relation is None or step.kind == "python":
            continue
        relation = relation_for(project, key, target)
        connection.execute(f'create schema if not exists "{relation.schema}"')
        sql = f"from read_csv('{project.root}/{step.location.path}')"
        if step.kind == "sql":
            sql = compile_step(project, step, target)
        kind = step.config.materialized
        connection.execute(f'create {kind} "{relation.schema}"."{relation.name}" as\n{sql}')


def offending(project: Project, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Check -> how many rows it selects."""
    target = usable_target(project)
    return {
        f"{key.name}.{check.name}": len(
            connection.sql(
                CheckTask("", check_sql(project, step, check, target)).sql_on(
                    relation_sql(project, step.key, target)
                )
            ).fetchall()
        )
        for key, step in project.steps.items()
        for check in step.checks
    }


def test_the_shop_runs_on_a_real_warehouse(shop: Project) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create schema raw_prod;"
            "create table raw_prod.orders_v2(id int, customer_id int, amount int, status text);"
            "insert into raw_prod.orders_v2 values"
            " (1, 1, 100, 'paid'), (2, 2, 50, 'sent'), (2, 9, 20, 'lost'), (null, null, 15, null),"
            " (7, 1, 3, 'lost');"  # less than $least
            "create table raw_prod.payments as select 1 as order_id, false as paid"
        )
        build(shop, connection)
        assert connection.sql("from dev_main.top").fetchall() == [("Ada", 100)]
        assert connection.sql("from dev_marts.by_status").fetchall() == [(1, 1, 1)]
        assert offending(shop, connection) == {
            "customers.unique_id": 0,
            "customers.not_null_id": 0,
            "stg_orders.unique_id": 1,
            "stg_orders.not_null_id": 1,
            "stg_orders.accepted_values_status": 1,
            "stg_orders.status_is_known": 1,
            "stg_orders.relationships_customer_id": 1,
            "revenue.amounts_add_up": 1,
            "stg_payments.paid": 1,
        }
        connection.execute(
            "delete from raw_prod.orders_v2 where id is null or customer_id = 9;"
            "update raw_prod.payments set paid = true;"
            "create or replace table dev_finance.revenue_by_customer as"
            " select 'x' as name, 150 as amount"
        )
        assert set(offending(shop, connection).values()) == {0}


# --- names -----------------------------------------------------------------------------------

A = {"models/staging/a.sql": "select 1 as x"}


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select * from a", ["staging.a"]),
        ("select * from A, Staging.A", ["staging.a"]),
        ('select * from "a"', ["staging.a"]),
        ("select * from memory.staging.a", []),  # a model of another catalog is another relation
        ("select * from till", ["raw.sales"]),
        ("select * from sales", ["raw.sales"]),
        ("select * from raw.sales", ["raw.sales"]),
        ("select * from shop.raw_prod.till", ["raw.sales"]),
        ("select * from lake.raw_prod.till", ["raw.sales"]),
        ("with a as (select 1 as x) select * from a", []),
        ("with a as (select * from a) select * from a", ["staging.a"]),
        ("select * from 'a.parquet'", []),
    ],
)
def test_what_a_name_means(sql: str, reads: list[str], tmp_path: Path) -> None:
    sources = (
        "sources: [{name: raw, schema: raw_prod, database: shop, tables:"
        " [{name: sales, identifier: till}]}]"
    )
    project = make(
        tmp_path,
        {**A, "models/sources.yaml": sources, "models/m.sql": sql},
    )
    assert upstream(project, "main.m") == reads
    assert relation_for(project, Key("raw", "sales"), usable_target(project)) == Relation(
        "raw_prod", "till", "shop"
    )


def test_other_assets_are_joined_by_table_name(tmp_path: Path) -> None:
    def offered(schema: str, name: str) -> Source:
        key = Key(schema, name)
        return Source(key, Relation(schema, name), Location(""), asset_key=("lake", name))

    files = {
        **A,
        "models/sources.yaml": "sources: [{name: raw, tables: [sales]}]",
        "models/m.sql": "select * from a, sales, events",
    }
    sources = (offered("raw", "sales"), offered("x", "a"), offered("x", "events"))
    project = make(tmp_path, files, sources)
    # A model goes before an asset elsewhere; a declared source is the same thing as the asset.
    assert upstream(project, "main.m") == ["staging.a", "raw.sales", "x.events"]
    assert {str(k): s.asset_key for k, s in project.sources.items()} == {
        "raw.sales": ("lake", "sales"),
        "x.events": ("lake", "events"),
    }
    assert project.sources[Key("raw", "sales")].location.path == "models/sources.yaml"


def test_an_unknown_table_is_a_warning_by_default(tmp_path: Path) -> None:
    files = {"models/m.sql": "select * from nothing, nothing as again"}
    (warning,) = make(tmp_path, files).warnings
    assert (warning.severity, warning.line, warning.column) == ("warning", 1, 15)
    ignoring = {**files, "dagster_models.yaml": "name: p\nunknown_references: ignore\n"}
    assert make(tmp_path, ignoring).warnings == ()


def test_a_disabled_model_makes_room_for_another_of_its_name(tmp_path: Path) -> None:
    disabled = "/* @model\nenabled: false\n*/\nselect 1 as x"
    project = make(
        tmp_path,
        {**A, "models/old/a.sql": disabled, "models/m.sql": "select * from a"},
    )
    assert upstream(project, "main.m") == ["staging.a"]
    assert Key("old", "a") not in project.steps


def test_a_yaml_file_that_is_ignored_is_reported(tmp_path: Path) -> None:
    (warning,) = make(tmp_path, {**A, "models/schema.yml": "models: []"}).warnings
    assert (warning.path, warning.what) == ("models/schema.yml", "this file is ignored")


def test_code_whose_tables_are_unknown_is_reported(tmp_path: Path) -> None:
    code = "def model(warehouse):\n    return warehouse.sql(f'from {name()}')\n"
    (warning,) = make(tmp_path, {**A, "models/m.py": code}).warnings
    assert (warning.path, warning.line, warning.severity) == ("models/m.py", 2, "warning")
    named = f'"""@model\nupstream: a\n"""\n{code}'
    project = make(tmp_path, {"models/m.py": named})
    assert project.warnings == ()
    assert upstream(project, "main.m") == ["staging.a"]


# --- files -----------------------------------------------------------------------------------


def test_folders_and_changedthat_are_ignored(tmp_path: Path) -> None:
    bad = "not sql"
    files = {
        **A,
        "models/.hidden/b.sql": bad,
        "models/.b.sql": bad,
        "models/staging/__pycache__/b.py": bad,
        "models/.ipynb_checkpoints/b-checkpoint.py": bad,
        "models/notes.md": bad,
        "scripts/__init__.py": "",
        "scripts/_shared.py": bad,
    }
    assert list(make(tmp_path, files).steps) == [Key("staging", "a")]


def test_links_are_followed_but_not_in_cycles(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", A)
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir()
    (elsewhere / "b.sql").write_text("select * from a")
    (root / "models" / "shared").symlink_to(elsewhere)
    (root / "models" / "staging" / "again").symlink_to(root / "models")
    (root / "models" / "self").symlink_to(root / "models" / "self")
    assert list(load(root).steps) == [Key("staging", "a"), Key("shared", "b")]


def test_bytes_of_the_file_survive(tmp_path: Path) -> None:
    root = write_project(tmp_path, A)
    text = '-- é 😀\r\nselect "ä".x, $$a$$ as q\r\nfrom staging.a as "ä"\r\n'
    (root / "models/m.sql").write_bytes(b"\xef\xbb\xbf" + text.encode())
    project = load(root)
    compiled = compile_step(project, project.steps[Key("main", "m")], usable_target(project))
    assert compiled == text.replace("staging.a", '"staging"."a"')


def test_a_project_of_one_line(tmp_path: Path) -> None:
    project = make(tmp_path, A)
    assert project.jobs == (Job("p"),)
    assert usable_target(project).settings == {"path": str(tmp_path / "target" / "p.duckdb")}
    assert dict(project.targets) == {"dev": usable_target(project)}
    assert project.root == str(tmp_path)


def test_the_folder_may_be_named_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path / "p", A)
    monkeypatch.chdir(tmp_path)
    assert load("p") == load(tmp_path / "p")


# --- def sql(vars) ---------------------------------------------------------------------------


def test_generated_sql_sees_helpers_as_they_are_now(tmp_path: Path) -> None:
    code = "import words\nwords.SEEN.append(1)\ndef sql(vars):\n    return words.query(vars)\n"
    helper = "SEEN = []\ndef query(vars):\n    vars['n'] += 1\n    return f'select {vars} as x'"
    helper = helper.replace("{vars}", '{vars["n"]}')
    files = {
        "dagster_models.yaml": "name: p\nvars: {n: 1}\n",
        "models/a.py": code,
        "words.py": helper,
    }
    step = make(tmp_path, files).steps[Key("main", "a")]
    assert (step.kind, step.sql, step.variables) == ("sql", "select 2 as x", {"n": 1})
    changed = {**files, "words.py": helper.replace("select", "select 40 +")}
    # Python compares the time of a cached .pyc in whole seconds.
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert make(tmp_path, changed).steps[Key("main", "a")].sql == "select 40 + 2 as x"


# --- code version ----------------------------------------------------------------------------


def test_the_version_of_sql_is_what_it_means(tmp_path: Path) -> None:
    yaml = "name: p\nvars: {n: 1, other: 2}\n"
    base = {"dagster_models.yaml": yaml, "models/a.sql": "select $n as x"}
    first = version(tmp_path, base)
    assert len(first) == 16
    same = [
        {"models/a.sql": "/* @model\ndescription: new\ntags: [x]\n*/\nSELECT  $n -- why\nAS X\n"},
        {"dagster_models.yaml": yaml.replace("other: 2", "other: 3")},
        {"dagster_models.yaml": yaml + "fail_fast: true\n", "models/b.sql": "select 2 as y"},
    ]
    other = [
        {"models/a.sql": "select $n + 1 as x"},
        {"models/a.sql": "/* @model materialized: table */ select $n as x"},
        {"models/a.sql": "/* @model alias: c */ select $n as x"},
        {"dagster_models.yaml": yaml.replace("n: 1", "n: 2")},
    ]
    assert {version(tmp_path, {**base, **files}) for files in same} == {first}
    versions = [version(tmp_path, {**base, **files}) for files in other]
    assert len({first, *versions}) == 5


def test_the_version_of_python_is_its_code_and_what_it_imports(tmp_path: Path) -> None:
    code = '"""Docs."""\nfrom lib import deep\n\ndef model(warehouse):\n    return deep.rows()\n'
    base = {
        "models/a.py": code,
        "lib/__init__.py": "",
        "lib/deep.py": "import other\ndef rows(): return [{'x': other.X}]",
        "other.py": "X = 1",
        "unrelated.py": "Y = 1",
    }
    first = version(tmp_path, base)
    comments = code.replace('"""Docs."""', '"""New docs."""\n# and a comment')
    same = [{"models/a.py": comments}, {"unrelated.py": "Y = 2"}, {"other.py": "X  =  1  # one"}]
    other = [
        {"models/a.py": code.replace("deep.rows()", "deep.rows()[:1]")},
        {"other.py": "X = 2"},
        {"lib/__init__.py": "Z = 1"},
    ]
    assert {version(tmp_path, {**base, **files}) for files in same} == {first}
    assert len({first, *(version(tmp_path, {**base, **files}) for files in other)}) == 4


def test_the_version_of_a_seed_is_its_bytes(tmp_path: Path) -> None:
    base = {**A, "seeds/a.csv": "x\n1\n"}
    first = version(tmp_path, base, "seeds.a")
    assert version(tmp_path, base, "seeds.a") == first
    typed = {"dagster_models.yaml": "name: p\nseeds: {a: {column_types: {x: varchar}}}\n"}
    assert version(tmp_path, {**base, **typed}, "seeds.a") != first
    assert version(tmp_path, {**base, "seeds/a.csv": "x\n1\n\n"}, "seeds.a") != first


# --- any project -----------------------------------------------------------------------------


@st.composite
def drawn(draw: st.DrawFn) -> dict[str, tuple[str, list[str]]]:
    """Name -> its folder, and the names that it reads, without a cycle."""
    names = draw(st.permutations([f"m{i}" for i in range(draw(st.integers(1, 7)))]))
    return {
        name: (
            draw(st.sampled_from(["a", "b/deep", "zz"])),
            draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [],
        )
        for i, name in enumerate(names)
    }


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn(), st.randoms(use_true_random=False))
def test_any_graph_of_changedcomes_back_as_it_was(
    tmp_path: Path, graph: dict[str, tuple[str, list[str]]], random: Random
) -> None:
    root = tmp_path / "p"
    shutil.rmtree(root, ignore_errors=True)
    key = {name: f"{folder.split('/')[0]}.{name}" for name, (folder, _) in graph.items()}
    files = {}
    for name, (folder, reads) in graph.items():
        tables = [random.choice([read, key[read]]) for read in reads]
        text = f"select 1 from {', '.join(tables)}" if tables else "select 1"
        files[f"models/{folder}/{name}.sql"] = text
    project = make(root, files)
    assert {str(k) for k in project.steps} == set(key.values())
    for name, (_, reads) in graph.items():
        assert upstream(project, key[name]) == [key[read] for read in reads]
    built: set[str] = set()
    for k, step in project.steps.items():
        assert {str(read) for read in step.upstream} <= built
        built.add(str(k))
    assert list(load(root).steps) == list(project.steps)


def test_a_project_full_of_unknown_names_gets_few_suggestions(tmp_path: Path) -> None:
    """Each suggestion compares with all names: without a limit this is quadratic."""
    files = {f"models/model_{i}.sql": f"select * from modle_{i}" for i in range(400)}
    warnings = make(tmp_path, files).warnings
    assert len(warnings) == 400
    assert 0 < len([w for w in warnings if not w.fix.startswith("Declare")]) <= 125


def test_a_check_goes_to_the_most_downstream_of_what_it_reads(tmp_path: Path) -> None:
    files = {
        "models/c.sql": "select 1 as x",
        "models/b.sql": "select * from c",
        "models/a.sql": "select * from b",
        "models/z.sql": "select 1 as x",
        "checks/same.sql": "select * from c except select * from a",
        "checks/of_all.sql": "/* @check\nmodel: a\n*/\nselect * from a, z, c",
    }
    project = make(tmp_path, files)
    a = project.steps[Key("main", "a")]
    assert [check.name for check in a.checks] == ["of_all", "same"]
    # z must be built before the check runs; c already is, as b reads it: no edge is added.
    assert upstream(project, "main.a") == ["main.b", "main.z"]


def test_what_a_script_writes_is_not_upstream_of_it(tmp_path: Path) -> None:
    code = "from dagster_models import warehouse\nwarehouse.execute('insert into a from b')\n"
    files = {"models/a.sql": "select 1 as x", "models/b.sql": "select 2 as x"}
    project = make(tmp_path, {**files, "scripts/s.py": code})
    script = project.steps[Key("scripts", "s")]
    assert upstream(project, "scripts.s") == ["main.b"]
    compiled = compile_text(project, script, script.queries[0], usable_target(project))
    assert compiled == 'insert into "main"."a" from "main"."b"'


def test_a_python_model_is_a_table_and_a_sql_model_a_view_by_default(tmp_path: Path) -> None:
    code = "def model(warehouse):\n    return []\n"
    project = make(tmp_path, {"models/a.sql": "select 1 as x", "models/b.py": code})
    kinds = {key.name: step.config.materialized for key, step in project.steps.items()}
    assert kinds == {"a": "view", "b": "table"}


def test_tables_that_are_only_known_at_run_time_are_a_warning(tmp_path: Path) -> None:
    unseen = "from query_table(getvariable('t'))"
    header = "/* @model\nupstream: [b]\n*/ "
    python = f'def model(warehouse):\n    return warehouse.sql("{unseen}")\n'
    files = {"dagster_models.yaml": "name: p\n", "models/b.sql": "select 1 as x"}
    seen = {**files, "models/a.sql": "from query_table('b')"}
    assert upstream(make(tmp_path / "0", seen), "main.a") == ["main.b"]
    assert make(tmp_path / "1", {**files, "models/a.sql": header + unseen}).warnings == ()
    for number, changed in enumerate([{"models/a.sql": unseen}, {"models/a.py": python}]):
        [warning] = make(tmp_path / f"case{number}", {**files, **changed}).warnings
        assert "cannot be determined: query_table(...)" in warning.what
        assert "upstream:" in warning.fix


def test_a_name_after_in_that_means_nothing_is_a_column(tmp_path: Path) -> None:
    yaml = "name: p\ndialect: clickhouse\n"
    files = {
        "models/b.sql": "select 1 as x, [2] as ids",
        "models/a.sql": "select x in ids, x in b from b",
    }
    project = make(tmp_path, {"dagster_models.yaml": yaml, **files})
    assert project.warnings == ()
    assert upstream(project, "main.a") == ["main.b"]
