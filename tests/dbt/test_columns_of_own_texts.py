"""Models that ask for the columns of a relation which the project's own texts and seeds know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagster_models.dbt.importing import Imported, ImportOptions, import_project
from dagster_models.dbt.report import ReportedModel
from dagster_models.dbt.text.model_text import Way
from dbt_cases import manifest_of, step

STAR = (
    "{% macro star(of) %}{% for it in adapter.get_columns_in_relation(of) %}"
    "{{ adapter.quote(it.column) }}{% if not loop.last %}, {% endif %}{% endfor %}{% endmacro %}"
)
MACROS = {"macro.shop.star": STAR}
ALL = "select {{ star(ref('mid')) }} from {{ ref('mid') }}"


def imported(folder: Path, *nodes: dict[str, Any], asks: str = ALL, **given: Any) -> Imported:
    manifest = manifest_of(folder, *nodes, step("asks", raw_code=asks), macros=MACROS, **given)
    return import_project(manifest, ImportOptions())


def of_asks(done: Imported) -> tuple[ReportedModel, str]:
    model = next(it for it in done.report.models if it.unique_id.endswith("asks"))
    return model, str(done.files.get(model.path, ""))


def quoted(name: str) -> str:
    return f'"{name}"'


def model(name: str, text: str, **config: Any) -> dict[str, Any]:
    return step(name, raw_code=text, config={"materialized": "table", **config})


@pytest.mark.parametrize("adapter", ["duckdb", "postgres"])
def test_the_columns_are_those_of_the_text_and_of_what_it_reads(
    tmp_path: Path, adapter: str
) -> None:
    """A star, a CTE, an ephemeral model, and a macro which asks the same of another model."""
    raw = model("raw", "with a as (select 1 as id, 'x' as \"At It\") select *, 2 as n from a")
    inner = model("inside", "select * from {{ ref('raw') }}", materialized="ephemeral")
    mid = model("mid", "select {{ star(ref('raw')) }}, i.n + 1 as more from {{ ref('inside') }} i")
    asks, text = of_asks(imported(tmp_path, raw, inner, mid, adapter=adapter))
    assert asks.way is Way.RENDERED
    assert text.endswith('select "id", "At It", "n", "more" from mid\n')
    said = "id, At It, n, more (by models/marts/mid.sql)"
    assert asks.frozen == {"columns of marts.mid": said}


def test_the_columns_of_a_seed_are_its_first_line_also_as_a_source(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/raw.csv").write_text('\ufeffId;"a;b";c \n1;2;3\n', encoding="utf-8")
    seed = step("raw", kind="seed", original_file_path="seeds/raw.csv", config={"delimiter": ";"})
    source = {
        **{key: seed[key] for key in ("package_name", "name", "database", "schema", "config")},
        "unique_id": "source.shop.s.raw",
        "resource_type": "source",
        "source_name": "s",
        "identifier": "raw",
        "original_file_path": "models/s.yml",
        "relation_name": seed["relation_name"],
    }
    mid = model("mid", "select * from {{ source('s', 'raw') }}")
    done = imported(tmp_path, seed, mid, sources={"source.shop.s.raw": source})
    assert of_asks(done)[1].endswith('select "Id", "a;b", "c" from mid\n')


@pytest.mark.parametrize("adapter", ["duckdb", "postgres"])
def test_the_columns_of_what_builds_add_to_are_those_of_its_first_build(
    tmp_path: Path, adapter: str
) -> None:
    """Those of a snapshot stand before dbt's own, whose names are written without quotes."""
    where = "{% if is_incremental() %} where id > (select max(id) from {{ this }}){% endif %}"
    raw = model("raw", f"select id from (select 1 as id) s{where}", materialized="incremental")
    kept = step(
        "mid",
        kind="snapshot",
        raw_code='select *, 2 as "At" from {{ ref("raw") }}',
        config={
            "materialized": "snapshot",
            "hard_deletes": "new_record",
            "snapshot_meta_column_names": {"dbt_valid_to": "Ends"},
        },
    )
    asks, text = of_asks(imported(tmp_path, raw, kept, adapter=adapter))
    own = f"dbt_scd_id dbt_updated_at dbt_valid_from {'Ends' if adapter == 'duckdb' else 'ends'}"
    names = ["id", "At", *own.split(), "dbt_is_deleted"]
    assert f"select {', '.join(map(quoted, names))} from mid" in text
    (said,) = asks.frozen.values()
    assert said.endswith("(by models/marts/mid.sql, as its first build makes them)")


@pytest.mark.parametrize("kind", ["table", "incremental", "view"])
def test_the_columns_of_an_enforced_contract_have_its_order(tmp_path: Path, kind: str) -> None:
    """But for those of a view, which has them as its text does."""
    contracted = model("mid", "select 1 as a, 2 as b", materialized=kind, contract={"enforced": 1})
    columns = {name: {"name": name, "data_type": "int"} for name in ("b", "a")}
    _, text = of_asks(imported(tmp_path, {**contracted, "columns": columns}))
    listed = '"a", "b"' if kind == "view" else '"b", "a"'
    assert f"select {listed} from mid" in text


def test_what_asks_is_incremental_is_asked_once_more(tmp_path: Path) -> None:
    """Another text is rendered meanwhile, which does not ask it."""
    text = "select {{ star(ref('mid')) }}{% if is_incremental() %}, 1 as n{% endif %}"
    mid = model("mid", "select 1 as id")
    asks = step("asks", raw_code=text, config={"materialized": "incremental"})
    done = import_project(manifest_of(tmp_path, mid, asks, macros=MACROS), ImportOptions())
    later = '/* @incremental */ select "id", 1 as n /* @full select "id" */'
    assert later in of_asks(done)[1].replace("\n", "")


@pytest.mark.parametrize("kind", ["view", "incremental"])
def test_what_a_text_appends_to_is_as_before_when_it_is_rendered_once_more(
    tmp_path: Path, kind: str
) -> None:
    """The lists of `var()` and `config.get()`."""
    appends = "{% do var('k').append('x') %}{% do config.get('k').append('y') %}"
    shown = "{{ var('k') | join }}{{ config.get('k') | join }}{{ is_incremental() }}"
    text = f"{appends}select {{{{ star(ref('mid')) }}}}, '{shown}' as at from {{{{ ref('mid') }}}}"
    asks = step("asks", raw_code=text, config={"materialized": kind, "k": ["b"]})
    project = "name: shop\nvars: {k: [a]}"
    mid = model("mid", "select 1 as id")
    manifest = manifest_of(tmp_path, mid, asks, macros=MACROS, project=project)
    found = of_asks(import_project(manifest, ImportOptions()))[1]
    assert "'axbyFalse'" in found
    assert ("'axbyTrue'" in found) == (kind == "incremental")


@pytest.mark.parametrize(
    "mid",
    [
        model(
            "mid",
            "select 1 as id{% if is_incremental() %}, 2 as n{% endif %}",
            materialized="incremental",
        ),
        model(
            "mid",
            "select id from (select 1 as id){% if is_incremental() %}"
            " union all select * from {{ this }}{% endif %}",
            materialized="incremental",
        ),
        model("mid", "select 1 as id", contract={"enforced": True}),
        model("mid", "select * from somewhere.else_"),
        model("mid", "select 1"),
        model("mid", "select * from {{ ref('asks') }}"),
        model("mid", "select {{ star(this) }}"),
        model("mid", "select 1 as id from {{ nope }}"),
        model(
            "mid", "select 1 as id", **{"post-hook": [{"sql": "Alter table {{ this }} add n int"}]}
        ),
        step("mid", kind="seed", original_file_path="seeds/none.csv"),
        step("mid", kind="snapshot", raw_code="select * from somewhere.else_"),
        model("mid", "select 1 as id", materialized="materialized_view"),
    ],
    ids=[
        *("a later column", "a later star", "contract", "outside", "unnamed", "a circle"),
        *("itself", "wrong", "hook", "no file", "snapshot", "another kind"),
    ],
)
def test_what_no_text_says_in_full_needs_the_warehouse(tmp_path: Path, mid: Any) -> None:
    asks, _ = of_asks(imported(tmp_path, mid))
    assert asks.disabled
    assert "asks the warehouse while dbt compiles" in asks.why


def test_names_of_other_adapters_are_the_warehouses(tmp_path: Path) -> None:
    """Snowflake has them in upper case."""
    asks, _ = of_asks(imported(tmp_path, model("mid", "select 1 as id"), adapter="snowflake"))
    assert asks.disabled
