"""``import-dbt --verify-tables``: dbt's run and ours, each on a copy of the database."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dagster_models.cli.dbt_databases import Copies, SessionSide, address_on, copies_of
from dagster_models.cli.project import load
from dagster_models.cli.verified_runs import (
    DbtRun,
    DbtRunner,
    OurRunner,
    builds,
    dbt_results,
    find_dbt,
    our_checks,
)
from dagster_models.compilation.sql_text import relation_sql
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.model import Project
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.dbt.importing import Imported
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.verification.copies import read_profile
from dagster_models.dbt.verification.reasons import with_reasons
from dagster_models.dbt.verification.relations import Pair, RelationResult, RelationState, compared
from dagster_models.dbt.verification.statements import without_database
from dagster_models.dbt.verification.tests import TestResult, compared_tests, results_of
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target

_NOT_RUN = "the run has no such step"


def verified_tables(
    options: argparse.Namespace, manifest: Manifest, imported: Imported, into: Path
) -> tuple[tuple[RelationResult, ...], tuple[TestResult, ...]]:
    """Run both, and compare. Only the copies are written to.

    Raises:
        DagsterModelsError: the database cannot be copied, or one of both cannot begin.
    """
    program = None if options.against else find_dbt(options.dbt)
    profile = read_profile(manifest, options.profiles, options.target)
    with tempfile.TemporaryDirectory(prefix="dagster-models-") as folder, ExitStack() as stack:
        project = load(into, columns=False, whole=False)
        target, against = usable_target(project), options.against
        copies = copies_of(project, target, profile.path, manifest.root, Path(folder), against)
        stack.callback(copies.close)
        stack.callback(leave_all)
        runner = None
        if program is not None:
            runner = DbtRunner(program, manifest, profile, options.vars, Path(folder))
        verifying = _VerifyingTables(manifest, imported, copies, Path(folder), stack, runner)
        return verifying.results(project, into)


@dataclass
class _VerifyingTables:
    manifest: Manifest
    imported: Imported
    copies: Copies
    folder: Path
    stack: ExitStack
    runner: DbtRunner | None
    sides: dict[str, SessionSide] = field(default_factory=dict)

    def results(
        self, written: Project, into: Path
    ) -> tuple[tuple[RelationResult, ...], tuple[TestResult, ...]]:
        """*written*: the project in the folder *into*."""
        theirs, ours = self.copies.copy("dbt"), self.copies.copy("ours")
        self._check_that_both_can_be_read(written, theirs, ours)
        if self.runner is None:
            dbt = DbtRun(self.manifest, tests=dbt_results(self.manifest))
        else:
            dbt = self.runner.run("dbt", theirs)
        runner = OurRunner(into, self.folder)
        times = builds(self.manifest) if self.runner else 1
        failed = runner.run(self.copies.setting, ours, times)
        project = load(runner.place, whole=False)
        checks = our_checks(project)
        side = self._side("dbt", project, theirs), self._side("ours", project, ours)
        pairs = list(self._pairs(project, dbt, failed))
        found = [compared(it, *side, lambda: self._again(project)) for it in pairs]
        names = NodeNames(self.manifest)
        results = {
            name: results_of([(str(names.key_of(of)), it) for of, it in found_as], checks)
            for name, found_as in self.imported.checks.items()
        }
        left_out = {of: what for of, _, what in self.imported.report.remarks}
        moments = {it.unique_id for it in found if it.state is RelationState.MOMENT}
        not_built = {it.unique_id for it in pairs if it.errors[1]}
        tests = compared_tests(self.manifest, dbt.tests, results, left_out, moments, not_built)
        return with_reasons(dbt.manifest, found), tuple(tests)

    def _check_that_both_can_be_read(self, written: Project, theirs: str, ours: str) -> None:
        """Open a copy before anything runs, as the runs may take hours: dbt's DuckDB may be newer
        than ours. The file of a database keeps the format that it has, so a copy of one that is
        there says it for both, and one that is not there is made by dbt.

        Raises:
            WarehouseError: our driver cannot read it.
        """
        checked = ours
        if self.runner is not None and self.copies.is_missing(theirs):
            self.runner.reach("dbt", theirs)
            if self.copies.is_missing(theirs):  # opening it would make it ours
                return
            checked = theirs
        with connect(self._address(written, checked)):
            pass
        leave_all()

    def _address(self, project: Project, database: str) -> WarehouseAddress:
        address = warehouse_address(project, usable_target(project))
        return address_on(address, self.copies.setting, database)

    def _again(self, project: Project) -> SessionSide | None:
        """What a second run of dbt builds."""
        if self.runner is None:
            return None
        if "again" not in self.sides:
            database = self.copies.copy("again")
            self.runner.run("again", database, tests=False)
            self._side("again", project, database)
        return self.sides["again"]

    def _side(self, name: str, project: Project, database: str) -> SessionSide:
        session = self.stack.enter_context(connect(self._address(project, database)))
        self.sides[name] = SessionSide(session, usable_target(project))
        return self.sides[name]

    def _pairs(
        self, project: Project, dbt: DbtRun, errors_here: Mapping[str, str]
    ) -> Iterator[Pair]:
        """What both should have built."""
        names, target = NodeNames(self.manifest), usable_target(project)
        disabled = {it.unique_id: it.why for it in self.imported.report.models if it.disabled}
        for unique_id, node in self.manifest.nodes.items():
            if not node.has_relation:
                continue
            key = names.places[unique_id].key
            errors = (
                _short(dbt.failed.get(unique_id, "")),
                _short(errors_here.get(str(key), errors_here.get(key.name, _NOT_RUN))),
            )
            why = _not_imported(disabled[unique_id], errors[0]) if unique_id in disabled else ""
            theirs = without_database(dbt.manifest.nodes.get(unique_id, node).relation)
            ours = ""
            if not why and not all(errors):
                try:
                    ours = relation_sql(project, key, target)
                except (KeyError, ValueError, DagsterModelsError) as missing:
                    why = f"it is not in the project that was written: {missing}"
            yield Pair(unique_id, _shown(node), theirs, ours, why, errors)


def _not_imported(why: str, error_in_dbt: str) -> str:
    either = f"; dbt has not built it either: {error_in_dbt}" if error_in_dbt else ""
    return f"it is not imported: {why}{either}"


def _shown(node: DbtNode) -> str:
    return f"{node.relation.schema}.{node.relation.identifier}"


def _short(message: str) -> str:
    return " ".join(message.split())[:160]
