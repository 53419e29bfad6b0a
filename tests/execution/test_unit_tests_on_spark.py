"""Unit tests on Spark, which has no transaction to be rolled back: nothing of them stays all the
same."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from test_unit_tests import MODELS, ROWS, SETTINGS, SOURCES, Trial, empty_states, of

from dagster_models.errors import WarehouseError
from dagster_models.processes.client.rehearsal import rehearse, rehearsing
from dagster_models.warehouses.spark import rehearsal
from project_cases import write_project
from systems import SPARKS, server_of, spark_system
from tasks import sql_task

KINDS = ("table", "view", "append", "merge", "both", "days", "history", "marks", "inside", "clock")
IN_SPARK = {"varchar": "string", "{type: timestamp}": "{type: timestamp_ntz}"}
NOW = {"now": dt.datetime(2024, 2, 1, 12)}


def in_spark(text: str) -> str:
    for word, spark in IN_SPARK.items():
        text = text.replace(word, spark)
    text = text.replace("$least", ":least")
    return text.replace("timestamp '2020-01-01'", "timestamp_ntz '2020-01-01 00:00:00'")


@pytest.fixture(params=SPARKS)
def tested(request: pytest.FixtureRequest, tmp_path: Path) -> Trial:
    server = server_of(request, request.param)
    models = {f"models/marts/{name}.sql": in_spark(MODELS[name]) for name in KINDS}
    settings = f"{SETTINGS}dialect: spark\n"
    files = {"dagster_models.yaml": settings, "models/sources.yaml": in_spark(SOURCES), **models}
    system = spark_system(server.settings, str(tmp_path / "tables"), request.param)
    return OnSpark(write_project(tmp_path / "p", files), system)


class OnSpark(Trial):
    def write(self, files: Mapping[str, str]) -> None:
        write_project(self.root, {"dagster_models.yaml": f"{SETTINGS}dialect: spark\n", **files})


#: Model -> what its table held before, what is expected, and what else the test says.
CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]] = {
    "table": (
        [],
        [{"id": 1, "amount": 10.1}, {"id": 2, "amount": 0.3}, {"id": 3, "amount": None}],
        {},
    ),
    "view": ([], [{"id": 1, "more": 11.1}], {}),
    "append": (
        [{"id": 1, "status": "old", "seen": "2024-01-06 09:00"}],
        [{"id": 1, "status": "old"}, {"id": 2, "status": None}, {"id": 3, "status": "it's"}],
        {},
    ),
    "merge": (
        [
            {"id": 1, "status": "old", "seen": "2024-01-05 10:00"},
            {"id": 7, "status": "kept", "seen": "2024-01-04 10:00"},
        ],
        [
            {"id": 1, "status": "paid"},
            {"id": 2, "status": None},
            {"id": 3, "status": "it's"},
            {"id": 7, "status": "kept"},
        ],
        {},
    ),
    "days": (
        [{"day": "2024-01-05", "n": 9}, {"day": "2024-01-04", "n": 4}],
        [{"day": "2024-01-05", "n": 2}, {"day": "2024-01-04", "n": 4}],
        {"partition": "2024-01-05"},
    ),
    "inside": ([], [{"id": 1}, {"id": 2}, {"id": 3}], {}),
}


@pytest.mark.parametrize("model", CASES)
def test_it_says_what_a_build_does_and_leaves_nothing(tested: Trial, model: str) -> None:
    before, expected, more = CASES[model]
    given: dict[str, Any] = {"raw.orders": ROWS, **({"this": before} if before else {})}
    more = {"given": given, **more}
    results = tested.results(
        of(model, expected, "right", **more), of(model, expected[1:], "wrong", **more)
    )
    assert [it.state for it in results] == ["passed", "failed"], [it.error for it in results]
    assert not any(Path(tested.system.settings["location"]).rglob("*.parquet"))
    with tested.session() as session:
        schemas = [name for name, *_ in session.query("show schemas")]
    assert [name for name in schemas if name.startswith("unit_test")] == []


def test_histories_with_a_clock_that_stands_still(tested: Trial) -> None:
    old, now = {"valid_from": "2024-01-01"}, "2024-02-01 12:00:00"
    given = {
        "raw.orders": [{"id": 1, "status": "new"}, {"id": 2, "status": "same"}],
        "this": [
            {"id": 1, "status": "old", **old},
            {"id": 2, "status": "same", **old},
            {"id": 3, "status": "gone", **old},
        ],
    }
    expected = [
        {"id": 1, **old, "valid_to": now},
        {"id": 1, "valid_from": now, "valid_to": None},
        {"id": 2, **old, "valid_to": None},
        {"id": 3, **old, "valid_to": now},
    ]
    gone = [
        {"id": 1, "is_deleted": False, **old, "valid_to": now},
        {"id": 1, "is_deleted": True, "valid_from": now, "valid_to": None},
    ]
    marked = {"raw.orders": [], "this": [{"id": 1, "status": "gone", **old}]}
    results = tested.results(
        of("history", expected, given=given, **NOW), of("marks", gone, given=marked, **NOW)
    )
    assert [it.state for it in results] == ["passed", "passed"], [it.error for it in results]


def test_a_model_is_built_from_empty_tables(tested: Trial) -> None:
    assert empty_states(tested, "both") == [("both", "from", "passed"), ("both", "into", "passed")]
    assert not any(Path(tested.system.settings["location"]).rglob("*.parquet"))


@pytest.mark.nightly
def test_each_kind_is_built_from_empty_tables(tested: Trial) -> None:
    added = ("append", "both", "history", "marks", "merge")
    kinds = set(KINDS) - {"inside", "clock"}  # Spark has no literal of timestamptz
    expected = {(name, "from", "passed") for name in kinds} | {("clock", "from", "error")}
    assert {*empty_states(tested)} == expected | {(name, "into", "passed") for name in added}
    assert not any(Path(tested.system.settings["location"]).rglob("*.parquet"))


def test_nothing_is_rehearsed_outside_of_a_rehearsal(tested: Trial) -> None:
    with tested.session() as session:
        with pytest.raises(WarehouseError, match="it would stay"):
            rehearse(session, sql_task("s.t", "select 1 as n"))
        with rehearsing(session):
            assert rehearse(session, sql_task("s.t", "select 1 as n")) == (("n", "int"),)
            assert session.query("select n from s.t") == [(1,)]
        with pytest.raises(WarehouseError):
            session.query("select n from s.t")


def test_what_a_killed_process_has_left_is_removed(
    tested: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(tested.system.settings["location"])
    for name, age in (("old", 2), ("new", 0)):
        left = folder / f"unit_tests-{name}"
        left.mkdir(parents=True)
        moment = left.stat().st_mtime - age * rehearsal._LEFT_SECONDS
        os.utime(left, (moment, moment))
    given = {"raw.orders": ROWS}
    assert tested.states(of("view", [{"id": 1}], given=given)) == ["passed"]
    assert [it.name for it in folder.glob("unit_tests-*")] == ["unit_tests-new"]
