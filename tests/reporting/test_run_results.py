"""run_results.json: it keeps to dbt's schema, and says why a step did not succeed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.run_results import unique_ids, write_run_results
from results_examples import CANCELED, FAILED, HEADER, OK, SKIPPED, SKIPPED_FAR, UNREAD, runs, sql

# The keys that schema v6 requires of a result; it allows no others.
# https://schemas.getdbt.com/dbt/run-results/v6.json
KEYS: dict[str, tuple[type, ...]] = {
    "status": (str,),
    "timing": (list,),
    "thread_id": (str,),
    "execution_time": (float, int),
    "adapter_response": (dict,),
    "message": (str, type(None)),
    "failures": (int, type(None)),
    "unique_id": (str,),
    "compiled": (bool, type(None)),
    "compiled_code": (str, type(None)),
    "relation_name": (str, type(None)),
}
STATUSES = {
    "model": {"success", "error", "skipped", "partial success", "no-op"},
    "seed": {"success", "error", "skipped", "partial success", "no-op"},
    "operation": {"success", "error", "skipped", "partial success", "no-op"},
    "test": {"pass", "error", "fail", "warn", "skipped"},
}
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def written(folder: Path, run: Sequence[StepResult], **more: Any) -> dict[str, Any]:
    path = folder / "target" / "run_results.json"
    write_run_results(path, run, header=HEADER, seconds=2.5, generated_at=1_700_000_010.0, **more)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def by_id(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {result["unique_id"]: result for result in document["results"]}


@settings(deadline=None)
@given(run=runs)
def test_any_run_keeps_to_the_schema(
    tmp_path_factory: pytest.TempPathFactory, run: list[StepResult]
) -> None:
    document = written(tmp_path_factory.mktemp("any"), run)
    assert set(document) == {"metadata", "results", "elapsed_time", "args"}
    assert len(document["results"]) == len(run) + sum(len(result.checks) for result in run)
    assert len(by_id(document)) == len(document["results"])
    for result in document["results"]:
        assert set(result) == set(KEYS)
        assert all(isinstance(result[key], types) for key, types in KEYS.items())
        assert result["status"] in STATUSES[result["unique_id"].partition(".")[0]]
        for span in result["timing"]:
            assert set(span) == {"name", "started_at", "completed_at"}
            assert UTC.fullmatch(span["started_at"])
            assert span["started_at"] <= span["completed_at"]


def test_metadata(tmp_path: Path) -> None:
    document = written(tmp_path, [OK], args={"select": "*"})
    assert document["metadata"] == {
        "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
        "dbt_version": "0.1.0",
        "generated_at": "2023-11-14T22:13:30.000000Z",
        "invocation_id": "run-1",
        "env": {"generator": "dagster-models 0.1.0"},
    }
    assert document["args"] == {"which": "build", "target": "dev", "select": "*"}
    assert document["elapsed_time"] == 2.5


def test_a_step_that_succeeded(tmp_path: Path) -> None:
    result = replace(
        OK, relation="main_marts.carrier_delays", worker="slot-2", compile_seconds=0.25
    )
    document = written(tmp_path, [result], compiled={result.step: "select 1"})
    assert document["results"] == [
        {
            "status": "success",
            "timing": [
                {
                    "name": "compile",
                    "started_at": "2023-11-14T22:13:21.000000Z",
                    "completed_at": "2023-11-14T22:13:21.250000Z",
                },
                {
                    "name": "execute",
                    "started_at": "2023-11-14T22:13:21.250000Z",
                    "completed_at": "2023-11-14T22:13:21.560000Z",
                },
            ],
            "thread_id": "slot-2",
            "execution_time": 0.31,
            "adapter_response": {"state": "succeeded", "attempt": 1, "rows_affected": 336_776},
            "message": "OK",
            "failures": None,
            "unique_id": "model.flights.carrier_delays",
            "compiled": True,
            "compiled_code": "select 1",
            "relation_name": "main_marts.carrier_delays",
        }
    ]


def test_a_step_that_did_not_succeed_says_why(tmp_path: Path) -> None:
    below = sql(
        "marts.b",
        "skipped",
        cause=CANCELED.step,
        cause_state="canceled",
        path=(CANCELED.step, "marts.b"),
    )
    run = [FAILED, SKIPPED, SKIPPED_FAR, CANCELED, UNREAD, below, sql("marts.c", "skipped")]
    said = {
        name.rpartition(".")[2]: (result["status"], result["message"].partition("\n")[0])
        for name, result in by_id(written(tmp_path, run)).items()
    }
    assert said == {
        "stg_flights": (
            "error",
            "models/staging/stg_flights.sql:12: "
            "Catalog Error: Table with name flihgts does not exist!",
        ),
        "routes": ("skipped", "upstream staging.stg_flights failed"),
        "scorecard": (
            "skipped",
            "upstream staging.stg_flights failed: "
            "staging.stg_flights -> marts.routes -> marts.scorecard",
        ),
        "weather_cost": (
            "skipped",
            "rolled back; the relation is as before the run "
            "(stopped after staging.stg_flights failed)",
        ),
        "worst_days": ("skipped", "stopped after staging.stg_flights failed"),
        "b": ("skipped", "upstream marts.weather_cost was canceled"),
        "c": ("skipped", "the run was stopped"),
    }


def test_canceled_differs_from_skipped_beside_dbts_status(tmp_path: Path) -> None:
    canceled, skipped = written(tmp_path, [CANCELED, SKIPPED_FAR])["results"]
    assert canceled["adapter_response"]["state"] == "canceled"
    assert skipped["adapter_response"] == {
        "state": "skipped",
        "attempt": 1,
        "cause": "staging.stg_flights",
        "path": ["staging.stg_flights", "marts.routes", "marts.scorecard"],
    }


def test_checks_have_results_of_their_own(tmp_path: Path) -> None:
    outcomes = (
        CheckResult("fine", "error", seconds=0.5),
        CheckResult("few", "warn", failures=1),
        CheckResult("many", "error", failures=12),
        CheckResult(
            "odd",
            "warn",
            error=TaskError(ErrorKind.BAD_COLUMN, "Binder Error: no column x"),
            file="checks/odd.sql",
            line=3,
        ),
    )
    document = written(tmp_path, [replace(OK, checks=outcomes)])
    said = {
        result["unique_id"]: (result["status"], result["failures"], result["message"])
        for result in document["results"][1:]
    }
    assert said == {
        "test.flights.carrier_delays.fine": ("pass", 0, None),
        "test.flights.carrier_delays.few": (
            "warn",
            1,
            "Got 1 result, configured to warn if != 0",
        ),
        "test.flights.carrier_delays.many": (
            "fail",
            12,
            "Got 12 results, configured to fail if != 0",
        ),
        "test.flights.carrier_delays.odd": (
            "warn",
            None,
            "checks/odd.sql:3: Binder Error: no column x",
        ),
    }
    assert document["results"][1]["execution_time"] == 0.5


def test_a_name_in_two_schemas_has_its_schema_in_the_id() -> None:
    seed = StepResult("seeds.airlines", "seed", "table", "succeeded")
    script = StepResult("scripts.report", "script", "", "succeeded")
    asset = StepResult("upstream_asset", "asset", "", "succeeded")
    run = [sql("staging.flights"), sql("marts.flights"), sql("marts.routes"), seed, script, asset]
    assert unique_ids(run, "p") == {
        "staging.flights": "model.p.staging.flights",
        "marts.flights": "model.p.marts.flights",
        "marts.routes": "model.p.routes",
        "seeds.airlines": "seed.p.airlines",
        "scripts.report": "operation.p.report",
        "upstream_asset": "operation.p.upstream_asset",
    }


def test_an_id_is_the_same_in_a_run_of_some_steps() -> None:
    ids = unique_ids([sql("marts.flights")], "p", names=["marts.flights", "staging.flights"])
    assert ids == {"marts.flights": "model.p.marts.flights"}


def test_the_old_file_stays_whole_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(tmp_path, [OK])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for point in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, point, fail)
            with pytest.raises(OSError, match="No space"):
                written(tmp_path, [FAILED])
        assert [path.name for path in (tmp_path / "target").iterdir()] == ["run_results.json"]
    assert json.loads((tmp_path / "target" / "run_results.json").read_text()) == before
    assert by_id(written(tmp_path, [FAILED])).keys() == {"model.flights.stg_flights"}
