"""The runs that a verification compares: dbt's, and ours, each on a copy of the database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dagster_models.cli.checks import outcome_of, result_of
from dagster_models.compilation.tasks import TargetStep, warehouse_address
from dagster_models.core.checks import checks_of
from dagster_models.core.model import Project
from dagster_models.dbt.project.manifest import Manifest, read_manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.verification.copies import (
    DbtProfile,
    copy_project,
    rename_database,
    write_yaml,
)
from dagster_models.dbt.verification.tests import FoundResult
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.session import connect
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.project.targets import usable_target
from dagster_models.util.environment import filled

_LAST_LINES = 12  #: of what a command has printed that are shown
_LATER = ("incremental", "snapshot")


@dataclass
class DbtRun:
    """``failed``: the message of each node that was not built. ``tests``: the result of each."""

    manifest: Manifest
    failed: dict[str, str] = field(default_factory=dict)
    tests: dict[str, FoundResult] = field(default_factory=dict)

    def add(self, results: Mapping[str, Any]) -> None:
        for it in results["results"]:
            unique_id, status = it["unique_id"], str(it["status"])
            if unique_id.startswith("test."):
                message = it.get("message") or ""
                self.tests[unique_id] = FoundResult(status, it.get("failures"), message)
            elif status in ("error", "skipped"):
                self.failed[unique_id] = it.get("message") or status


def find_dbt(given: str | None) -> str:
    """dbt's executable. Raises DagsterModelsError where there is none."""
    found = shutil.which(given or "dbt")
    if found is None:
        what = f"{given} is no program" if given else "dbt is not installed: there is none on PATH"
        raise DagsterModelsError(
            f"{what}. Name its executable with --dbt, or name a database that dbt has built with"
            " --against"
        )
    return os.path.abspath(found)


@dataclass(frozen=True, slots=True)
class DbtRunner:
    """Runs dbt on copies of the project of *manifest*, which are in *folder*."""

    program: str
    manifest: Manifest
    profile: DbtProfile
    variables: str
    folder: Path

    def reach(self, name: str, database: str) -> None:
        """Have dbt connect to *database*, whose file its DuckDB then makes. What fails is left for
        a run to report."""
        self._dbt(["debug", "--connection"], name, self._place(name, database))

    def run(self, name: str, database: str, tests: bool = True) -> DbtRun:
        """Build all in *database*, twice if a second build is another one, and test it."""
        place = self._place(name, database)
        commands = [["build", *_of("seed", "model", "snapshot")]] * builds(self.manifest)
        if NodeNames(self.manifest).same:  # dbt does not wait for a seed that is read as a source
            commands.insert(0, ["seed"])
        if tests and any(it.kind == "test" for it in self.manifest.nodes.values()):
            commands.append(["test"])
        done = DbtRun(self.manifest)
        for command in commands:
            self._call(command, name, place)
            target = place / "target"
            if command[0] == "build":  # it has what dbt has compiled of the models
                done.manifest = read_manifest(place, target / "manifest.json")
            done.add(_json(target / "run_results.json"))
        return done

    def _place(self, name: str, database: str) -> Path:
        """The copy of the project, with a profile for *database* beside it."""
        place = self.folder / f"{name}_project"
        if not place.is_dir():
            copy_project(self.manifest.root, place)
            if named := filled(self.profile.database, os.environ):
                rename_database(place, named, database)
            write_yaml(self.folder / f"{name}_profile/profiles.yml", self.profile.on(database))
        return place

    def _call(self, command: Sequence[str], name: str, place: Path) -> None:
        results = place / "target/run_results.json"
        results.unlink(missing_ok=True)
        done = self._dbt([*command, "--target-path", str(results.parent)], name, place)
        if not results.is_file():
            raise DagsterModelsError(f"`dbt {command[0]}` failed:\n{_end(done)}")

    def _dbt(
        self, command: Sequence[str], name: str, place: Path
    ) -> subprocess.CompletedProcess[str]:
        profiles = self.folder / f"{name}_profile"
        call = [self.program, "--no-use-colors", *command, "--project-dir", str(place)]
        call += ["--profiles-dir", str(profiles), "--log-path", str(profiles)]
        call += ["--target", self.profile.target, "--vars", self.variables]
        environ = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        return _called(call, place, environ, f"`dbt {command[0]}` on a copy")


def builds(manifest: Manifest) -> int:
    """How often all is built: an incremental model and a snapshot have a second text or way."""
    return 1 + any(it.materialized in _LATER for it in manifest.nodes.values())


def dbt_results(manifest: Manifest) -> dict[str, FoundResult]:
    """The results of tests that dbt has left in its target folder."""
    file, found = manifest.target / "run_results.json", DbtRun(manifest)
    if file.is_file():
        found.add(_json(file))
    return found.tests


@dataclass(frozen=True, slots=True)
class OurRunner:
    """Runs the project in *root* on a copy of it in *folder*."""

    root: Path
    folder: Path

    def run(self, setting: str, database: str, times: int) -> dict[str, str]:
        """Build all in *database*; return the error of each step, "" for one that was built."""
        place = self.place
        copy_project(self.root, place)
        content = yaml.safe_load((place / PROJECT_FILE).read_text(encoding="utf-8"))
        content["targets"][content["target"]][setting] = database
        content["load"] = "lenient"  # what is wrong fails alone, and the report has it
        write_yaml(place / PROJECT_FILE, content)
        home = self.folder / "home"
        home.mkdir()
        call = [sys.executable, "-m", "dagster_models.cli", "--project", str(place)]
        call += ["run", "--checks", "none"]
        environ = {**os.environ, "DAGSTER_HOME": str(home)}
        results = place / "target/run_results.json"
        found: dict[str, str] = {}
        for _ in range(times):
            results.unlink(missing_ok=True)
            done = _called(call, place, environ, "`dagster-models run` on a copy")
            if not results.is_file():
                raise DagsterModelsError(f"`dagster-models run` failed:\n{_end(done)}")
            found = dict(_errors(_json(results)))
        return found

    @property
    def place(self) -> Path:
        return self.folder / "our_project"


def _errors(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for it in results["results"]:
        is_built = it["status"] in ("success", "no-op")
        name = str(it["unique_id"]).split(".", 2)[2]
        yield name, "" if is_built else str(it.get("message") or it["status"])


def our_checks(project: Project) -> dict[tuple[str, str], FoundResult]:
    """The results of all checks on the project's target, by who declares them and their names."""
    target = usable_target(project)
    found: dict[tuple[str, str], FoundResult] = {}
    every = [*map(checks_of, project.sources.values()), *project.steps.values()]
    with connect(warehouse_address(project, target)) as session:
        for step in every:
            if not step.checks or step.problems:
                continue
            it = TargetStep(project, step, target, builds=False)
            result = result_of(it, outcome_of(session, it))
            owners = {check.name: str(check.model) for check in step.checks}
            for check in result.checks:
                message = check.error.message if check.error else ""
                one = FoundResult(check.status, check.failures, message)
                found[owners[check.name], check.name.lower()] = one
    return found


def _of(*kinds: str) -> list[str]:
    return [word for kind in kinds for word in ("--resource-type", kind)]


def _called(
    call: Sequence[str], folder: Path, environ: Mapping[str, str], what: str
) -> subprocess.CompletedProcess[str]:
    print(f"Verifying: {what} ...", file=sys.stderr, flush=True)
    return subprocess.run(
        call, cwd=folder, env=environ, check=False, capture_output=True, text=True, errors="replace"
    )


def _end(done: subprocess.CompletedProcess[str]) -> str:
    lines = [it for it in (done.stdout + done.stderr).splitlines() if it.strip()]
    return "\n".join(lines[-_LAST_LINES:])


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
