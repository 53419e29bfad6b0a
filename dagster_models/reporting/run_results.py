"""``target/run_results.json``: the whole run in dbt's schema, written once at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dagster_models.core.model import EMPTY
from dagster_models.reporting.results import CheckResult, RunHeader, StepResult
from dagster_models.reporting.wording import (
    cancel_story,
    check_failure,
    committed_partitions,
    failed_checks,
    failure,
    placed,
    skip_path,
    skip_reason,
    unchanged_since,
)
from dagster_models.util.atomic_file import replace_file

RUN_RESULTS_SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"
_STATUS = {
    "succeeded": "success",
    "failed": "error",
    "canceled": "skipped",
    "skipped": "skipped",
    "unchanged": "no-op",
}
_RESOURCE = {"sql": "model", "python": "model", "seed": "seed"}


def write_run_results(
    path: str | Path,
    results: Sequence[StepResult],
    *,
    header: RunHeader,
    seconds: float,
    generated_at: float,
    compiled: Mapping[str, str] = EMPTY,
    args: Mapping[str, Any] = EMPTY,
    names: Iterable[str] = (),
) -> None:
    """Write ``run_results.json`` in dbt's schema v6, whole or not at all.

    Args:
        path: the file; its folder is created.
        header: the run's header; its run id becomes dbt's invocation id.
        seconds: the run's duration.
        generated_at: epoch seconds.
        compiled: step -> the SQL that was sent.
        args: added to ``args`` in the file, which tools for dbt's schema show.
        names: "schema.name" of every step of the project, so that an id does not depend on which
            steps are in this run.

    Raises:
        OSError: the file cannot be written; an existing one is left as it is.
    """
    ids = unique_ids(results, header.project, names)
    document = {
        "metadata": {
            "dbt_schema_version": RUN_RESULTS_SCHEMA,
            "dbt_version": header.version,
            "generated_at": _utc(generated_at),
            "invocation_id": header.run_id,
            "env": {"generator": f"dagster-models {header.version}"},
        },
        "results": [
            entry
            for result in results
            for entry in (
                _entry(result, ids[result.step], compiled.get(result.step)),
                *(_check_entry(result, check, ids[result.step]) for check in result.checks),
            )
        ],
        "elapsed_time": seconds,
        "args": {"which": _which(results), "target": header.target, **args},
    }
    replace_file(Path(path), json.dumps(document, indent=1, default=str) + "\n")


def unique_ids(
    results: Iterable[StepResult], project: str, names: Iterable[str] = ()
) -> dict[str, str]:
    """Step -> dbt's unique id: ``model.<project>.<name>``, ``seed...`` or ``operation...``.

    Where two steps have the same name in different schemas, both get ``<schema>.<name>``.
    """
    results = list(results)
    every = {result.step for result in results} | set(names)
    count = Counter(_name(step) for step in every)
    return {
        result.step: ".".join(
            (
                _RESOURCE.get(result.kind, "operation"),
                project,
                result.step if count[_name(result.step)] > 1 else _name(result.step),
            )
        )
        for result in results
    }


def _name(step: str) -> str:
    return step.partition(".")[2] or step


def _which(results: Sequence[StepResult]) -> str:
    """dbt's word for the command: `test` for a run that had only checks to do."""
    return "test" if results and all(it.kind == "checks" for it in results) else "build"


def _entry(result: StepResult, unique_id: str, compiled: str | None) -> dict[str, Any]:
    response: dict[str, Any] = {"state": result.state, "attempt": result.attempt}
    if result.rows is not None:
        response["rows_affected"] = result.rows
    if result.changes is not None:
        changes = result.changes
        response["build"] = changes.kind
        if changes.kind != "whole":
            response["rows_affected"] = sum(count or 0 for count in changes.counts.values())
        for word, count in {**changes.counts, **changes.left_out}.items():
            if count is not None:
                response[f"rows_{word}"] = count
        if changes.since is not None:
            response["since"] = changes.since
    if result.cause:
        response |= {"cause": result.cause, "path": list(result.path)}
    if result.path_left_out:
        response["path_left_out"] = result.path_left_out
    if result.partitions:
        response["partitions"] = list(result.partitions)
    if result.committed_in:
        response["committed_in"] = result.committed_in
    if result.because:
        response["built_because"] = result.because
    if result.built_on_previous:
        response["built_on_previous"] = list(result.built_on_previous)
    if result.undeclared:
        response["undeclared"] = list(result.undeclared)
    if result.code_version:
        response["code_version"] = result.code_version
    return _result(
        unique_id,
        _STATUS[result.state],
        result.seconds,
        _message(result),
        timing=_timing(result),
        thread_id=result.worker,
        adapter_response=response,
        compiled=compiled is not None,
        compiled_code=compiled,
        relation_name=result.relation or None,
    )


def _message(result: StepResult) -> str:
    if result.state == "skipped":
        reason, path = skip_reason(result), skip_path(result)
        return f"{reason}: {path}" if path else reason
    if result.state == "canceled":
        return cancel_story(result)
    if result.state == "failed":
        reasons = (failure(result), failed_checks(result), committed_partitions(result))
        return placed(result.where, ": ".join(filter(None, reasons)))
    return unchanged_since(result) if result.state == "unchanged" else "OK"


def _check_entry(result: StepResult, check: CheckResult, step_id: str) -> dict[str, Any]:
    status, message = check.status, None
    if check.error is not None:
        message = check_failure(check)
    elif not check.passed:
        plural = "s" if check.failures != 1 else ""
        limit = check.limit or "!= 0"
        message = f"Got {check.failures} result{plural}, configured to {status} if {limit}"
    response: dict[str, Any] = {"severity": check.severity}
    if check.rows is not None:
        response["rows"] = check.rows
    if check.found:
        response["found"] = check.found
    return _result(
        f"test.{step_id.partition('.')[2]}.{check.name}",
        status,
        check.seconds,
        message,
        thread_id=result.worker,
        adapter_response=response,
        failures=None if check.error else check.failures,
        compiled=bool(check.query),
        compiled_code=check.query or None,
        relation_name=check.stored or None,
    )


def _result(
    unique_id: str, status: str, seconds: float, message: str | None, **more: Any
) -> dict[str, Any]:
    """A result with every key that schema v6 requires, in dbt's order."""
    return {
        "status": status,
        "timing": [],
        "thread_id": "",
        "execution_time": seconds,
        "adapter_response": {},
        "message": message,
        "failures": None,
        "unique_id": unique_id,
        "compiled": False,
        "compiled_code": None,
        "relation_name": None,
        **more,
    }


def _timing(result: StepResult) -> list[dict[str, Any]]:
    if result.started_at is None:
        return []
    begin = result.started_at
    spans = {
        "compile": (begin - result.compile_seconds, begin),
        "execute": (begin, begin + result.seconds),
    }
    return [
        {"name": name, "started_at": _utc(start), "completed_at": _utc(finish)}
        for name, (start, finish) in spans.items()
    ]


def _utc(epoch: float) -> str:
    when = datetime.fromtimestamp(epoch, timezone.utc)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")
