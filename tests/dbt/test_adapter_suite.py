"""What stands in for dbt in dbt's adapter suite (tests/bench/dbt_adapter_suite.py), without dbt."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dbt_cases import dbt_test, manifest_of, step

NOT_NULL = "{% test not_null(model, column_name) %}select 1{% endtest %}"


@pytest.fixture(scope="module")
def ours() -> Any:
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench/adapter_suite"))
    return import_module("ours")


def sql(name: str, text: str, *reads: str, **config: Any) -> Any:
    found = step(name, *reads, config=config, raw_code=text, language="sql")
    return {**found, "path": f"{name}.sql", "original_file_path": f"models/{name}.sql"}


def test_a_command_of_dbt_is_an_import_and_a_run(
    ours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    root, database = tmp_path / "shop", tmp_path / "dev.duckdb"
    (root / "seeds").mkdir(parents=True)
    (root / "seeds/raw.csv").write_text("id\n1\n2\n")
    profile = {"outputs": {"dev": {"type": "duckdb", "path": str(database)}}, "target": "dev"}
    (root / "profiles.yml").write_text(yaml.safe_dump({"shop": profile}))
    seed = {**step("raw", kind="seed"), "path": "raw.csv", "original_file_path": "seeds/raw.csv"}
    raw = seed["unique_id"]
    manifest_of(
        root,
        seed,
        sql("kept", "select nullif(id, 2) as id from {{ ref('raw') }}", raw, materialized="table"),
        sql("other", "select 1 as id", materialized="semantic_view"),
        dbt_test("model.shop.kept", "not_null", "id"),
        macros={"macro.dbt.test_not_null": NOT_NULL},
    )

    # It forks itself for each command, which a process with threads, as one of the tests, must not.
    server = subprocess.Popen(
        [sys.executable, ours.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def asked(command: str, *select: str) -> Any:
        given = ours.Asked(
            *(command, str(root), str(root / "profiles.yml"), str(tmp_path / "into"), "dev"),
            *({}, "", {}, [*select], [], False, False, ["", ""], "2026-01-01", {}),
        )
        print(json.dumps(asdict(given)), file=server.stdin, flush=True)
        return ours.Answer(**json.loads(server.stdout.readline()))

    def statuses(answer: Any) -> dict[str, str]:
        return {it["unique_id"]: it["status"] for it in answer.results}

    with server:
        seeded = asked("seed")
        assert (seeded.code, statuses(seeded)) == (0, {raw: "success"}), seeded.output
        assert list(seeded.not_imported) == ["model.shop.other"]
        built = asked("run", "kept")
        assert (built.code, statuses(built)) == (0, {"model.shop.kept": "success"}), built.output
        with duckdb.connect(str(database)) as connection:
            found = connection.execute("select id from marts.kept order by id").fetchall()
        assert found == [(1,), (None,)]
        tested = asked("test", "kept")
        (result,) = tested.results
        assert (result["status"], result["failures"]) == ("fail", 1), tested.output


@pytest.mark.parametrize(
    ("size", "asked", "there", "expected"),
    [
        ("day", ["", ""], False, ["2025-01-01", "2025-01-02", "2025-01-03"]),
        ("day", ["", ""], True, ["2025-01-02", "2025-01-03"]),
        ("day", ["2025-01-02", "2025-01-03"], True, ["2025-01-02"]),
        ("hour", ["2025-01-01 01:00:00", "2025-01-01 02:30:00"], False, ["01:00", "02:00"]),
        ("month", ["2025-01-01", "2025-03-01"], False, ["2025-01-01", "2025-02-01"]),
        ("year", ["2024-06-01", "2026-01-01"], False, ["2025-01-01"]),
    ],
)
def test_the_batches_are_those_of_dbt(
    ours: Any, size: str, asked: list[str], there: bool, expected: list[str]
) -> None:
    config = {"batch_size": size, "begin": "2025-01-01", "lookback": 1}
    found = ours.batch_keys(config, asked, "2025-01-03 13:57:00", there)
    assert [it.removeprefix("2025-01-01-") for it in found] == expected
