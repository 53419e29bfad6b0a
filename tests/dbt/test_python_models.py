"""dbt's Python models are called by a function of ours, which reads what they ask `dbt` for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dagster_models.cli.main import main
from dbt_cases import manifest_of, step
from project_cases import load

CODE = '''"""What it is.

More of it: \\d, and \'\'\'."""
from __future__ import annotations

import pyarrow as pa


def helper(x: int) -> int:
    return x + 1


def model(dbt, session):
    dbt.config(materialized="table")
    read = dbt.ref("orders").filter("id > 1").order("id").fetchall()
    first = dbt.source("raw", "sent").fetchone()
    again = dbt.ref("shop", "orders").project("id").to_arrow_table()
    return pa.table({
        "id": [helper(id_) for id_, in read],
        "sent": [first[0]] * len(read),
        "home": [dbt.config.get("home", 3)] * len(read),
        "rows": [again.num_rows] * len(read),
        "new": [not dbt.is_incremental] * len(read),
    })
'''
SOURCE = {
    "unique_id": "source.shop.raw.sent",
    "resource_type": "source",
    "package_name": "shop",
    "source_name": "raw",
    "name": "sent",
    "identifier": "sent",
    "database": "dev",
    "schema": "raw",
    "relation_name": '"dev"."raw"."sent"',
    "original_file_path": "models/s.yml",
    "config": {},
    "columns": {},
}
ORDERS = "model.shop.orders"


def python(name: str, code: str, *reads: str, **given: Any) -> dict[str, Any]:
    config = {"materialized": "table", **given.pop("config", {})}
    found = step(name, *reads, raw_code=code, language="python", config=config, **given)
    paths = {"path": f"marts/{name}.py", "original_file_path": f"models/marts/{name}.py"}
    return {**found, **paths}


def frame(**given: Any) -> dict[str, Any]:
    refs = [{"name": "orders"}, {"name": "orders", "package": "shop"}]
    return python("frame", CODE, ORDERS, refs=refs, sources=[["raw", "sent"]], **given)


def imported(root: Path, *nodes: dict[str, Any], code: int = 0, **given: Any) -> Any:
    """The report; the project is in ``ours`` beside *root*."""
    text = "select * from (values (1), (2), (6)) as t(id)"
    orders = step("orders", raw_code=text, language="sql")
    manifest_of(root, orders, *nodes, sources={SOURCE["unique_id"]: SOURCE}, **given)
    assert main(["import-dbt", str(root), "--into", str(root.with_name("ours"))]) == code
    return json.loads((root.with_name("ours") / ".dagster_models_import/report.json").read_text())


def model_of(report: Any, name: str) -> Any:
    (found,) = (it for it in report["models"] if it["unique_id"].endswith(f".{name}"))
    return found


def test_a_model_in_python_is_run_as_dbt_runs_it(tmp_path: Path) -> None:
    """Its helpers, what it reads and what it asks of `dbt.config`."""
    config = {"home": 100, "config_keys_used": ["home"], "config_keys_defaults": [3]}
    report = imported(tmp_path / "shop", frame(config=config))
    assert (model_of(report, "frame")["way"], report["errors"]) == ("source", {})
    project = load(tmp_path / "ours")
    (found,) = (it for it in project.steps.values() if it.key.name == "frame")
    assert {str(it) for it in found.upstream} == {"marts.orders", "raw.sent"}
    text = (tmp_path / "ours/models/marts/frame.py").read_text()
    assert "# What it is.\n#\n# More of it: \\d, and '''.\nfrom __future__" in text
    module = executed(tmp_path / "ours", text)
    assert module.model(Reads(orders=[1, 2, 6], **{"raw.sent": [7]})).to_pylist() == [
        {"id": 3, "sent": 7, "home": 100, "rows": 3, "new": True},
        {"id": 7, "sent": 7, "home": 100, "rows": 3, "new": True},
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import os\n\x0c\ndef model(dbt, session):\n    return [1]\n",
        'X = "\u2028"\n\ndef  model(dbt, session):\n    return [1]\n',
        '"""What\x0cit is."""; import os\ndef model(dbt, session):\n    return [len(os.sep)]\n',
        "x = 0\r\ndef model(dbt, session):\r\n    return [1]\r\n",
    ],
)
def test_the_function_is_found_in_its_line_as_python_counts_them(tmp_path: Path, code: str) -> None:
    """A form feed is in the text of a line, and other code may stand behind a docstring."""
    assert imported(tmp_path / "shop", python("other", code))["errors"] == {}
    text = (tmp_path / "ours/models/marts/other.py").read_text()
    assert executed(tmp_path / "ours", text).model(Reads()) == [1]


@pytest.mark.parametrize(
    ("code", "adapter", "why"),
    [
        (CODE, "snowflake", "whose frames are those of snowflake"),
        ("def model(dbt, session):\n    return dbt.this\n", "duckdb", "it asks for dbt.this"),
        ("def model(d, s):\n    return d.load()\n", "duckdb", "it asks for d.load"),
        ("def other(dbt, session):\n    return 1\n", "duckdb", "defines no function model"),
        ("def model(dbt, session:\n", "duckdb", "its Python cannot be read"),
    ],
)
def test_what_cannot_be_had_here_is_refused_with_the_reason(
    tmp_path: Path, code: str, adapter: str, why: str
) -> None:
    """The model is disabled, and dbt's text is beside it."""
    report = imported(tmp_path / "shop", python("other", code), adapter=adapter)
    found = model_of(report, "other")
    assert found["disabled"]
    assert why in found["why"]
    assert "enabled: false" in (tmp_path / "ours/models/marts/other.py").read_text()
    assert (tmp_path / "ours/models/marts/other.py.dbt").read_text() == code
    assert {it.key.name for it in load(tmp_path / "ours").steps.values()} == {"orders"}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def model(dbt, con):\n    return con.sql('select 1 as x')\n", 1),
        ("def model(dbt, con):\n    return [{'x': 1}]\n", 0),
    ],
)
def test_the_session_of_a_model_is_another_one(tmp_path: Path, code: str, count: int) -> None:
    found = model_of(imported(tmp_path / "shop", python("other", code)), "other")
    said = [it for it in found["remarks"] if "its session is a DuckDB in memory" in it["what"]]
    assert [it["weight"] for it in said] == ["differs"] * count


def test_an_incremental_model_asks_the_warehouse_whether_it_is_one(tmp_path: Path) -> None:
    code = "def model(dbt, con):\n    return [{'new': not dbt.is_incremental}]\n"
    config = {"materialized": "incremental"}
    imported(tmp_path / "shop", python("other", code, config=config))
    text = (tmp_path / "ours/models/marts/other.py").read_text()
    assert executed(tmp_path / "ours", text).model(Reads()) == [{"new": False}]


@pytest.mark.nightly
def test_a_run_builds_what_the_models_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What depends on a DuckDB relation, a dataset, and an empty relation with its types."""
    relation = "def model(dbt, con):\n    return dbt.ref('orders').limit(2)\n"
    empty = "def model(dbt, con):\n    return con.sql(\"select 'a' as a, true as b limit 0\")\n"
    dataset = "import pyarrow as pa\nimport pyarrow.dataset as ds\n\n\n"
    dataset += "def model(dbt, con):\n    return ds.dataset(pa.table({'b': [4, 5]}))\n"
    monkeypatch.setenv("DAGSTER_HOME", "")
    imported(
        tmp_path / "shop",
        python("relation", relation, ORDERS, refs=[{"name": "orders"}]),
        python("empty", empty),
        python("dataset", dataset),
    )
    root = tmp_path / "ours"
    subprocess.run([sys.executable, "-m", "dagster_models.cli", "run"], cwd=root, check=True)
    with duckdb.connect(next(root.rglob("*.duckdb"))) as session:
        assert session.sql("select count(*) from marts.relation").fetchall() == [(2,)]
        assert session.sql("select sum(b) from marts.dataset").fetchall() == [(9,)]
        assert list(map(str, session.sql("from marts.empty").types)) == ["VARCHAR", "BOOLEAN"]


class Reads:
    """Stands for the warehouse: each table has the column id."""

    is_incremental = True

    def __init__(self, **tables: list[int]) -> None:
        self.tables = tables

    def table(self, name: str) -> Any:
        table = pa.table({"id": self.tables[name]})
        return type("Result", (), {"arrow": lambda self: table})()


def executed(root: Path, text: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        module = ModuleType("frame")
        exec(compile(text, "frame.py", "exec"), module.__dict__)
        return module
