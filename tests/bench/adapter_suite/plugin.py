"""A plugin of pytest, for the environment that has dbt: what the tests of an adapter ask dbt to
build is built by dagster-models. dbt itself parses, and does all that is not a build.

For each test a line of JSON goes to the file of the variable ADAPTER_SUITE_LOG: its outcome, and
each command with who has carried it out. Without ADAPTER_SUITE_PYTHON all is left to dbt.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from dbt.adapters.factory import FACTORY
from dbt.artifacts.schemas.results import NodeStatus
from dbt.artifacts.schemas.run import RunExecutionResult, RunResult
from dbt.cli.main import cli, dbtRunner, dbtRunnerResult
from dbt.materializations.incremental.microbatch import MicrobatchBuilder

_OURS = ("run", "seed", "snapshot", "build", "test")
#: Options of these commands that mean nothing here.
_REFUSED = ("empty", "sample", "defer", "selector", "inline")
_by_dbt = dbtRunner.invoke
_calls: dict[str, list[dict[str, Any]]] = {}  #: test -> the commands that it has asked for


class NotImported(Exception):
    """A part of the project that the command is about is disabled by the import."""


class Ours:
    """The process that answers for dagster-models."""

    def __init__(self, python: str, folder: Path) -> None:
        script = Path(__file__).with_name("ours.py")
        environ = {**os.environ, "DAGSTER_HOME": str(folder / "home")}
        (folder / "home").mkdir(parents=True, exist_ok=True)
        (folder / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.folder = folder
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            text=True,
        )

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


_ours: Ours | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _ours
    if python := os.environ.get("ADAPTER_SUITE_PYTHON"):
        _ours = Ours(python, Path(os.environ["ADAPTER_SUITE_FOLDER"]))
        dbtRunner.invoke = invoke


def pytest_unconfigure(config: pytest.Config) -> None:
    if _ours is not None:
        _ours.close()


def invoke(self: dbtRunner, args: list[str], **given: Any) -> dbtRunnerResult:
    """In place of dbtRunner.invoke."""
    name, options = _parsed(args)
    call: dict[str, Any] = {"args": _shown(args), "by": "dbt"}
    _calls.setdefault(_current(), []).append(call)
    if name not in _OURS:
        return _by_dbt(self, args, **given)
    call["by"] = "ours"
    parse = ["parse", "--vars", json.dumps(options.get("vars") or {})]
    for word in ("project_dir", "profiles_dir", "target", "profile"):
        if options.get(word):
            parse += [f"--{word.replace('_', '-')}", str(options[word])]
    began = time.monotonic()
    parsed = _by_dbt(self, parse, **given)
    call["parsed"] = round(time.monotonic() - began, 2)
    if not parsed.success:
        call["by"] = "dbt"
        call["exception"] = str(parsed.exception)
        return parsed
    if refused := [it for it in _REFUSED if options.get(it)]:
        call["refused"] = f"--{refused[0]}"
        raise NotImported(f"--{refused[0]} has no counterpart")
    _close_connections()
    # What an earlier command has compiled says what the warehouse held then.
    shutil.rmtree(
        Path(str(options.get("project_dir") or ".")) / "target/compiled", ignore_errors=True
    )
    assert _ours is not None
    answer = _ours.ask(_asked(name, options))
    if answer["needs_compile"]:  # as an import says it
        _by_dbt(self, ["compile", *parse[1:]])
        _close_connections()
        answer = _ours.ask({**_asked(name, options), "compiled": True})
    call |= {"seconds": round(time.monotonic() - began, 2), **answer}
    if lost := _of_command(answer["not_imported"], name, options):
        raise NotImported(json.dumps(lost))
    print(answer["output"])
    results = [_result(it, parsed.result) for it in answer["results"]]
    good = ("success", "pass", "warn")
    success = answer["code"] == 0 and all(it["status"] in good for it in answer["results"])
    done = RunExecutionResult(results=results, elapsed_time=1.0, args={})
    return dbtRunnerResult(success=success, result=done)


def _parsed(args: list[str]) -> tuple[str, Mapping[str, Any]]:
    """The command, and its options as dbt reads them."""
    context = cli.make_context(cli.name, list(args))
    rest = [*getattr(context, "_protected_args", ()), *context.args]
    if not rest:
        return "", {}
    name, command, words = cli.resolve_command(context, rest)
    if name not in _OURS or command is None:
        return str(name), {}
    return str(name), command.make_context(name, words, parent=context).params


def _asked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    assert _ours is not None
    root = Path(str(options.get("project_dir") or ".")).resolve()
    profiles = Path(str(options.get("profiles_dir") or root)).resolve() / "profiles.yml"
    project = yaml.safe_load((root / "dbt_project.yml").read_text())
    profile = yaml.safe_load(profiles.read_text())[project["profile"]]
    target = options.get("target") or profile["target"]
    output = profile["outputs"][target]
    return {
        "command": name,
        "root": str(root),
        "profiles": str(profiles),
        "into": str(_ours.folder / hashlib.sha256(str(root).encode()).hexdigest()[:16]),
        "target": target,
        "target_values": {k: v for k, v in output.items() if k not in ("pass", "password")},
        "password": str(output.get("pass") or output.get("password") or ""),
        "variables": options.get("vars") or {},
        "select": _flat(options.get("select")) + _flat(options.get("models")),
        "exclude": _flat(options.get("exclude")),
        "full_refresh": bool(options.get("full_refresh")),
        "fail_fast": bool(options.get("fail_fast")),
        "batches": [str(options.get(f"event_time_{it}") or "") for it in ("start", "end")],
        "now": _now(),
        "environ": {key: it for key, it in os.environ.items() if key != "DAGSTER_HOME"},
    }


def _of_command(
    not_imported: Mapping[str, str], name: str, options: Mapping[str, Any]
) -> Mapping[str, str]:
    """Those of the nodes that the command would build."""
    words = [word for it in _flat(options.get("select")) for word in it.split()]
    words += _flat(options.get("models"))
    plain = all(word.replace("_", "").isalnum() for word in words)
    kinds = {"run": "model", "seed": "seed", "snapshot": "snapshot"}
    return {
        node: why
        for node, why in not_imported.items()
        if "there is no query" not in why  # dbt builds nothing of it either
        and node.partition(".")[0] == kinds.get(name, node.partition(".")[0])
        and (not words or not plain or node.rpartition(".")[2] in words)
    }


def _now() -> str:
    """Until when there are batches: some tests set the clock of dbt's microbatch."""
    patched = MicrobatchBuilder.build_end_time
    moment = patched.return_value if isinstance(patched, Mock) else datetime.now(timezone.utc)
    return str(moment.replace(tzinfo=None))


def _flat(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [word for it in value for word in _flat(it)]


def _result(found: Mapping[str, Any], manifest: Any) -> RunResult:
    unique_id = found["unique_id"]
    node = manifest.nodes.get(unique_id) or manifest.unit_tests.get(unique_id)
    return RunResult(
        status=NodeStatus(found["status"]),
        timing=[],
        thread_id="",
        execution_time=0.1,
        adapter_response={"rows_affected": found.get("rows")},
        message=found["message"],
        failures=found.get("failures"),
        node=node,
    )


def _close_connections() -> None:
    """Those of dbt: a DuckDB file is open in one process alone. What a failed test had open is in a
    cycle with its traceback."""
    for adapter in FACTORY.adapters.values():
        adapter.cleanup_connections()
        with contextlib.suppress(AttributeError):
            adapter.connections.close_all_connections()
    gc.collect()


def _current() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def _shown(args: list[str]) -> list[str]:
    """Without the folders, which are others in each run."""
    words = iter(map(str, args))
    return [
        it for it in words if not (it.endswith("s-dir") or it == "--project-dir") or not next(words)
    ]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    reports = item.stash.setdefault(_REPORTS, [])
    reports.append(report)
    if report.when == "teardown":
        _log(item, reports)


_REPORTS = pytest.StashKey[list[pytest.TestReport]]()


def _log(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    bad = [it for it in reports if it.failed]
    skipped = [it for it in reports if it.skipped]
    calls = _calls.pop(item.nodeid, [])
    line = {
        "test": item.nodeid,
        "outcome": "failed" if bad else "skipped" if skipped else "passed",
        "seconds": round(sum(it.duration for it in reports), 2),
        "error": _last_line(bad[0]) if bad else _last_line(skipped[0]) if skipped else "",
        "where": _where(bad[0]) if bad else "",
        "calls": calls,
    }
    with open(os.environ["ADAPTER_SUITE_LOG"], "a", encoding="utf-8") as file:
        print(json.dumps(line), file=file)


def _last_line(report: pytest.TestReport) -> str:
    found = report.longrepr
    crash = getattr(found, "reprcrash", None)
    return str(crash.message if crash else found[-1] if isinstance(found, tuple) else found)[:1000]


def _where(report: pytest.TestReport) -> str:
    """The lines of the suite that the failure came through."""
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    places = [it.reprfileloc for it in entries if getattr(it, "reprfileloc", None)]
    return " ".join(f"{Path(it.path).name}:{it.lineno}" for it in places)
