"""Does what dbt would do for dbt's adapter suite: imports the project, and runs it as a user does.

Each line of stdin is a command of dbt as JSON (``Asked``), and each line of stdout what became of
it (``Answer``). Each is carried out by a fork of this process, so that none sees what an earlier
one has left, and none waits until Dagster is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster

from dagster_models.cli import import_dbt, main
from dagster_models.cli.checks import outcome_of, result_of
from dagster_models.cli.checks import select as selected_checks
from dagster_models.cli.project import load, project_of
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, warehouse_address
from dagster_models.dbt.importing import ImportOptions, import_project
from dagster_models.dbt.project.manifest import STEPS, DbtNode, Manifest, read_manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target

_SECONDS = 300  #: after which a command is given up
_KINDS = {"run": ("model",), "seed": ("seed",), "snapshot": ("snapshot",), "build": STEPS}
_PRELOADED = {"alembic", "dagster", "dagster_models", "dagster_shared", "duckdb", "jinja2"}
_PRELOADED |= {"psycopg", "pyarrow", "sqlalchemy", "sqlglot", "yaml"}
_WORST = ("error", "fail", "warn", "pass")


@dataclass(frozen=True)
class Asked:
    """A command of dbt: ``command`` is run, seed, snapshot, build or test. ``password`` is that of
    the profile, which an import leaves to the environment. ``batches``: the begin and the end of
    those that are asked for, or ""; without them they end ``now``."""

    command: str
    root: str
    profiles: str
    into: str
    target: str
    target_values: Mapping[str, Any]
    password: str
    variables: Mapping[str, Any]
    select: list[str]
    exclude: list[str]
    full_refresh: bool
    fail_fast: bool
    batches: list[str]
    now: str
    environ: Mapping[str, str]
    compiled: bool = False  #: whether dbt has compiled what it can


@dataclass
class Answer:
    """``results``: of each node of dbt. ``code``: of the command. ``not_imported``: nodes -> why;
    ``needs_compile``: a part of that needs a text that dbt has not compiled. ``output`` is what was
    printed."""

    code: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    not_imported: dict[str, str] = field(default_factory=dict)
    needs_compile: bool = False
    output: str = ""

    def add(self, unique_id: str, status: str, message: str = "", **more: Any) -> None:
        self.results.append({"unique_id": unique_id, "status": status, "message": message, **more})


@dataclass
class Command:
    asked: Asked
    manifest: Manifest
    names: NodeNames
    answer: Answer

    @property
    def into(self) -> Path:
        return Path(self.asked.into)

    def carry_out(self) -> None:
        if self.asked.command in _KINDS:
            self.run(_KINDS[self.asked.command])
        if self.asked.command == "test":
            self.checks()
        if self.asked.command in ("test", "build"):
            self.unit_tests()

    # Builds

    def run(self, kinds: tuple[str, ...]) -> None:
        every = [it for it in self.manifest.nodes.values() if it.kind in STEPS]
        wanted = [it for it in every if it.kind in kinds and it.relation.written is not None]
        if not wanted:
            return
        written = [
            it for it in every if (self.into / self.names.places[it.unique_id].path).is_file()
        ]
        others = {it.kind for it in written} - set(kinds)
        batched = [it for it in wanted if it.config.get("incremental_strategy") == "microbatch"]
        words = [word for it in self.asked.select for word in it.split()]
        alone = bool(words) and {it.name for it in batched}.issuperset(words)
        if not alone:
            self.call_run(others, [it.name for it in batched])
        for it in batched:
            if not words or it.name in words:
                self.batches(it)

    def batches(self, node: DbtNode) -> None:
        """Build the batches of a microbatch model that dbt would build."""
        there = self.is_there(node) and not self.asked.full_refresh
        keys = batch_keys(node.config, self.asked.batches, self.asked.now, there)
        if not keys:
            return
        step = str(self.names.key_of(node.unique_id))
        words = ["--project", self.asked.into, "run", step, "--checks", "none"]
        self.called([*words, "--partition", f"{keys[0]}..{keys[-1]}"])

    def is_there(self, node: DbtNode) -> bool:
        project = load(self.into)
        target = usable_target(project)
        relation = relation_for(project, self.names.key_of(node.unique_id), target)
        try:
            with connect(warehouse_address(project, target)) as session:
                return bool(list(session.there([relation])))
        finally:
            leave_all()

    def call_run(self, other_kinds: Iterable[str], batched: list[str]) -> None:
        asked = self.asked
        words = ["--project", asked.into, "run"]
        chosen = [it for text in asked.select for it in text.split() if it not in batched]
        words += ["--select", *chosen] if asked.select else []
        kinds = [f"kind:{it}" for it in sorted(other_kinds) if it != "model"]
        if "model" in other_kinds:  # they have several kinds
            kinds_of = {"seed": "kind:seed", "snapshot": "kind:snapshot"}
            words += [
                "--exclude",
                f"not ({' '.join(kinds_of[it] for it in _KINDS[asked.command])})",
            ]
            words += asked.exclude
        elif kinds or asked.exclude:
            words += ["--exclude", *asked.exclude, *kinds]
        words += ["--full-refresh"] * asked.full_refresh + ["--fail-fast"] * asked.fail_fast
        # dbt's constraints are checks here, and it keeps them in each build.
        constrained = any(it.given.get("constraints") or _constrained(it) for it in self.models())
        if asked.command != "build" and not constrained:
            words += ["--checks", "none"]
        self.called(words)

    def models(self) -> Iterator[DbtNode]:
        yield from (it for it in self.manifest.nodes.values() if it.kind == "model")

    def called(self, words: list[str]) -> None:
        results = self.into / "target/run_results.json"
        results.unlink(missing_ok=True)
        self.answer.code |= main.main(words)
        if results.is_file():
            self.read_results(json.loads(results.read_text()))

    def read_results(self, found: Mapping[str, Any]) -> None:
        of_step = self.names_of_steps()
        of_check: dict[str, list[dict[str, Any]]] = {}
        for it in found["results"]:
            kind, _, name = it["unique_id"].partition(".")
            name = name.partition(".")[2]
            if kind == "test":
                of_check.setdefault(name.lower(), []).append(it)
            else:
                status = "success" if it["status"] == "no-op" else it["status"]
                rows = it["adapter_response"].get("rows_affected")
                self.answer.add(of_step[name], status, it["message"], rows=rows)
        if self.asked.command != "build":  # dbt has run no test, and its constraints have no result
            return
        for test, checks in self.checks_of_tests().items():
            every = [
                it
                for owner, name in checks
                for owned in (owner, owner.partition(".")[2])
                for it in of_check.get(f"{owned}.{name}".lower(), ())
            ]
            self.add_test(test, [(it["status"], it["failures"], it["message"]) for it in every])

    def names_of_steps(self) -> dict[str, str]:
        """The steps as run_results.json calls them -> dbt's unique_id."""
        found: dict[str, str] = {}
        for unique_id, place in self.names.places.items():
            found[str(place.key)] = found[place.key.name] = unique_id
        return found

    # Tests

    def checks_of_tests(self) -> Mapping[str, list[tuple[str, str]]]:
        """dbt's tests -> (who declares it here, its name)."""
        asked = self.asked
        options = ImportOptions(
            asked.target, asked.target_values, asked.variables, Path(asked.profiles)
        )
        imported = import_project(self.manifest, options)
        return {
            test: [(str(self.names.key_of(of)), name) for of, name in checks]
            for test, checks in imported.checks.items()
        }

    def add_test(self, unique_id: str, found: Iterable[tuple[str, int | None, str | None]]) -> None:
        worst = min(found, key=lambda it: _WORST.index(it[0]), default=None)
        if worst is not None:
            self.answer.add(unique_id, worst[0], worst[2] or "", failures=worst[1])

    def checks(self) -> None:
        tests = self.checks_of_tests()
        if not any(it.kind == "test" for it in self.manifest.nodes.values()):
            return
        words = ["--project", self.asked.into, "checks"]
        words += ["--select", *self.asked.select] if self.asked.select else []
        words += ["--exclude", *self.asked.exclude] if self.asked.exclude else []
        options = main.parser(["checks"]).parse_args(words)
        found: dict[tuple[str, str], tuple[str, int | None, str]] = {}
        for owner, name, check, result in self.check_results(options):
            error = check.error if check else result.error
            status, failures = (check.status, check.failures) if check else ("error", None)
            found[owner, name.lower()] = (status, failures, error.message if error else "")
        for test, checks in tests.items():
            every = [found.get((of, name.lower())) for of, name in checks]
            self.add_test(test, [it for it in every if it])

    def check_results(self, options: argparse.Namespace) -> Iterator[tuple[str, str, Any, Any]]:
        project = project_of(options)
        target = usable_target(project, options.target)
        try:
            with connect(warehouse_address(project, target)) as session:
                for step in selected_checks(project, options):
                    checked = TargetStep(project, step, target, builds=False)
                    result = result_of(checked, outcome_of(session, checked))
                    found = {it.name: it for it in result.checks}
                    for it in step.checks:  # without a result its step has failed as a whole
                        yield str(it.model), it.name, found.get(it.name), result
        finally:
            leave_all()

    def unit_tests(self) -> None:
        if not self.manifest.unit_tests:
            return
        junit = self.into / "target/unit_tests.xml"
        words = ["--project", self.asked.into, "test", "--target", self.asked.target]
        words += ["--select", *self.asked.select] if self.asked.select else []
        self.answer.code |= main.main([*words, "--junit", str(junit)])
        if not junit.is_file():
            return
        ids = {name.rpartition(".")[2].lower(): name for name in self.manifest.unit_tests}
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            bad = next((it for it in case if it.tag in ("failure", "error")), None)
            status = (
                {"failure": "fail", "error": "error"}.get(bad.tag, "") if bad is not None else ""
            )
            message = (bad.get("message") or bad.text or "") if bad is not None else ""
            name = str(case.get("name")).lower()
            if name in ids:
                self.answer.add(ids[name], status or "pass", message, failures=int(bool(status)))


def _constrained(node: DbtNode) -> bool:
    return any(it.given.get("constraints") for it in node.columns)


_SIZES = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d", "month": "%Y-%m-01", "year": "%Y-01-01"}


def batch_keys(config: Mapping[str, Any], asked: list[str], now: str, is_there: bool) -> list[str]:
    """The keys of the batches that dbt builds: those asked for, or from the first one up to now, or
    of a table that is there the last one and ``lookback`` before it."""
    size = str(config["batch_size"])
    start, end = (datetime.fromisoformat(it).replace(tzinfo=None) if it else None for it in asked)
    moment = datetime.fromisoformat(str(config["begin"])).replace(tzinfo=None)
    last = end or datetime.fromisoformat(now)
    keys = []
    while moment < last:
        if start is None or _after(moment, size) > start:
            keys.append(moment.strftime(_SIZES[size]))
        moment = _after(moment, size)
    back = int(config.get("lookback") or 1) + 1 if is_there and start is None else len(keys)
    return keys[-back:]


def _after(moment: datetime, size: str) -> datetime:
    if size == "hour":
        return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "day":
        return moment + timedelta(days=1)
    month = 12 if size == "year" else moment.month
    return moment.replace(year=moment.year + month // 12, month=month % 12 + 1, day=1)


def answered(asked: Asked) -> Answer:
    """Import the project, and carry the command out."""
    answer = Answer()
    words = ["import-dbt", asked.root, "--into", asked.into, "--profiles", asked.profiles]
    words += ["--vars", json.dumps(asked.variables), "--target", asked.target]
    words += ["--target-values", json.dumps(asked.target_values)]
    answer.code = main.main(words)
    if answer.code:
        return answer
    report = json.loads((Path(asked.into) / import_dbt.FOLDER / "report.json").read_text())
    answer.not_imported = {
        it["unique_id"]: it["why"] for it in report["models"] if it["disabled"]
    } | {path: f"does not load: {why}" for path, why in report["errors"].items()}
    answer.needs_compile = "while dbt compiles" in json.dumps(report)
    manifest = read_manifest(Path(asked.root))
    if answer.needs_compile and not asked.compiled:
        return answer
    try:
        Command(asked, manifest, NodeNames(manifest), answer).carry_out()
    except (DagsterModelsError, dagster.DagsterError) as error:
        print(error)
        answer.code = 2
    return answer


def forked(asked: Asked) -> Answer:
    """The answer of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output, file = Path(folder, "output"), Path(folder, "answer")
        child = os.fork()
        if child == 0:
            _child(asked, output, file)
        os.waitpid(child, 0)
        text = output.read_text(errors="replace") if output.is_file() else ""
        found = Answer(**json.loads(file.read_text())) if file.is_file() else Answer(code=3)
        if (modules := Path(folder, "modules")).is_file():
            _import_all(modules.read_text().split())
    found.output = text
    return found


def _import_all(names: Iterable[str]) -> None:
    """Import what the last command has imported, so that the next one need not."""
    for name in names:
        if name not in sys.modules and name.partition(".")[0] in _PRELOADED:
            with contextlib.suppress(Exception):
                import_module(name)


def _child(asked: Asked, output: Path, file: Path) -> None:
    try:
        signal.alarm(_SECONDS)
        os.dup2(os.open(output, os.O_CREAT | os.O_WRONLY), 1)
        os.dup2(1, 2)
        os.environ |= asked.environ
        name = re.search(
            r"^name:\s*['\"]?(\w+)", Path(asked.root, "dbt_project.yml").read_text(), re.M
        )
        os.environ[f"{name[1].upper()}_PASSWORD" if name else "_"] = asked.password
        os.chdir(asked.root)
        file.write_text(json.dumps(asdict(answered(asked))))
        file.with_name("modules").write_text(" ".join(sys.modules))
        leave_all()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


def serve() -> None:
    for line in sys.stdin:
        print(json.dumps(asdict(forked(Asked(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    serve()
