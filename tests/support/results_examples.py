"""Results to test with: a few that read like a real run, and strategies for any run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.results import (
    CheckResult,
    ResultKind,
    ResultState,
    RunHeader,
    StepResult,
)

HEADER = RunHeader(
    "run-1",
    "flights",
    "dev",
    1_700_000_000.0,
    ("a.b", "a.c"),
    "0.1.0",
    slots=4,
    limits={"tag heavy": 1},
    upstream={"a.b": (), "a.c": ("a.b",)},
)
BROKEN = TaskError(
    ErrorKind.MISSING_RELATION,
    'Catalog Error: Table with name flihgts does not exist!\nDid you mean "flights"?\n\n'
    "LINE 12: from flihgts\n              ^",
    name="CatalogException",
    line=12,
)


def sql(name: str, state: ResultState = "succeeded", **more: Any) -> StepResult:
    file = f"models/{name.replace('.', '/')}.sql"
    return StepResult(name, "sql", "table", state, **{"file": file, **more})


OK = sql("marts.carrier_delays", seconds=0.31, rows=336_776, started_at=1_700_000_001.25)
FAILED = replace(
    sql("staging.stg_flights", "failed", seconds=0.1, error=BROKEN), materialized="view"
)
SKIPPED = sql(
    "marts.routes",
    "skipped",
    cause=FAILED.step,
    cause_state="failed",
    path=("staging.stg_flights", "marts.routes"),
)
SKIPPED_FAR = sql(
    "marts.scorecard",
    "skipped",
    cause=FAILED.step,
    cause_state="failed",
    path=("staging.stg_flights", "marts.routes", "marts.scorecard"),
)
SKIPPED_VERY_FAR = sql(
    "marts.z",
    "skipped",
    cause=FAILED.step,
    cause_state="failed",
    path=("staging.stg_flights", "a.b", "a.c", "a.x", "a.y", "marts.z"),
    path_left_out=1_994,
)
CANCELED = sql("marts.weather_cost", "canceled", seconds=2.1, cause=FAILED.step)
UNREAD = sql("marts.worst_days", "skipped", cause=FAILED.step, cause_state="failed")


names = st.text("abcdefgh_é", min_size=1, max_size=6)
text = st.text(st.characters(), max_size=20)
seconds = st.floats(0, 1e6)
errors = st.builds(
    TaskError, st.sampled_from(ErrorKind), text, names, st.none() | st.integers(1, 99), text
)
checks = st.builds(
    CheckResult,
    names,
    st.sampled_from(["error", "warn"]),
    st.integers(0, 5),
    st.none() | errors,
    seconds,
    file=text,
    line=st.none() | st.integers(1, 99),
)
step_results = st.builds(
    StepResult,
    step=st.builds("{}.{}".format, names, names),
    kind=st.sampled_from(get_args(ResultKind)),
    materialized=st.sampled_from(["view", "table", ""]),
    state=st.sampled_from(get_args(ResultState)),
    attempt=st.integers(1, 9),
    started_at=st.none() | st.floats(0, 4e9),
    seconds=seconds,
    compile_seconds=st.floats(0, 100),
    rows=st.none() | st.integers(0, 10**12),
    relation=text,
    cause=st.none() | names,
    cause_state=st.none() | st.sampled_from(get_args(ResultState)),
    path=st.lists(names, max_size=4).map(tuple),
    error=st.none() | errors,
    timed_out=st.booleans(),
    file=text,
    checks=st.lists(checks, max_size=3, unique_by=lambda check: check.name).map(tuple),
    code_version=text,
    worker=text,
    ready_at=st.none() | st.floats(0, 4e9),
    ended_at=st.none() | st.floats(0, 4e9),
    waited=st.dictionaries(text, seconds, max_size=3),
    built_on_previous=st.lists(names, max_size=2).map(tuple),
    no_previous=st.booleans(),
    committed_in=text,
    path_left_out=st.integers(0, 9),
)
runs = st.lists(step_results, max_size=8, unique_by=lambda result: result.step)
