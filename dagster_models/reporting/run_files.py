"""What a run writes into the target folder of a project: journal, run_results.json, columns.

A run may have steps of several projects. Each gets files of its own, whose journal tells of the
whole run, and in which its own steps have the names that they have in the project.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome
from dagster_models.core.model import KeepRuns
from dagster_models.project.built_schemas import BuiltSchema, remember
from dagster_models.reporting.journal import Journal, prune_journals
from dagster_models.reporting.results import RunHeader, StepResult
from dagster_models.reporting.run_results import write_run_results
from dagster_models.util.users import user_name


class RunFiles:
    """The files of one target folder.

    Args:
        header: that of the run, with its names of the steps.
        own: the project's steps, by their name in the run. There is at least one.
        elsewhere: the names of other projects' steps, which its run_results.json leaves out.
        note: prints a line.

    ``root`` is the folder of the project. No method raises because of a file. A full disk costs the
    run its files; the event log has what they would have, too.
    """

    def __init__(
        self,
        header: RunHeader,
        own: Mapping[str, TargetStep],
        elsewhere: Collection[str],
        note: Callable[[str], None],
    ) -> None:
        first = next(iter(own.values()))
        self._project, self._own, self._note = first.project, own, note
        self._elsewhere = elsewhere
        self.root, self._folder = Path(first.project.root), Path(first.project.target_path)
        count = Counter(target_step.name for target_step in own.values())
        self._names = {name: it.name for name, it in own.items() if count[it.name] == 1}
        self._header = replace(
            header,
            project=first.project.name,
            target=first.target.name,
            steps=tuple(map(self._name, header.steps)),
            upstream={
                self._name(step): tuple(map(self._name, read))
                for step, read in header.upstream.items()
            },
        )
        self._built: dict[str, BuiltSchema] = {}
        self._journal: Journal | None = None
        self._safely(self._open)

    @property
    def folder(self) -> Path:
        """The target folder."""
        return self._folder

    def _open(self) -> None:
        self._journal = Journal(self._folder, self._header)
        prune_journals(self._journal.path, self._project.defaults.get("keep_runs", KeepRuns()))

    def step(self, result: StepResult) -> None:
        """Append a finished step of the run to the journal."""
        if self._journal is not None:
            self._safely(partial(self._journal.step, self._renamed(result)))

    def remember_columns(self, result: StepResult, outcome: Outcome) -> None:
        """Keep the columns that a build of one of the project's steps left, for its next load."""
        target_step = self._own.get(result.step)
        # The next load describes the default target; on another one the types may be others.
        if target_step is not None and target_step.target.name == self._project.default_target:
            built = BuiltSchema(result.code_version, outcome.columns)
            self._built[target_step.name] = built

    def ended(
        self,
        status: str,
        results: Sequence[StepResult],
        seconds: float,
        compiled: Mapping[str, str],
    ) -> None:
        """Write the run's end; ``compiled``: step -> the SQL that was sent."""
        if self._journal is None:
            return
        here = [self._renamed(it) for it in results if it.step not in self._elsewhere]
        self._safely(partial(self._journal.end, status, results, seconds))
        if self._journal.is_removed():
            self._note(f"WARNING: {self._journal.path} was removed during the run")
        self._journal.close()
        self._safely(
            partial(
                write_run_results,
                self._folder / "run_results.json",
                here,
                header=self._header,
                seconds=seconds,
                generated_at=time.time(),
                compiled={self._name(step): sql for step, sql in compiled.items()},
                args=self._args(),
                names=[str(key) for key in self._project.steps],
            )
        )
        self._safely(partial(remember, self._folder, self._built))

    def _args(self) -> dict[str, object]:
        found = {"deferred": dict(self._header.deferred), "vars": self._header.variables}
        return {name: value for name, value in found.items() if value}

    def _name(self, name: str) -> str:
        """The name of a step of the run in these files."""
        return self._names.get(name, name)

    def _renamed(self, result: StepResult) -> StepResult:
        if not self._names:
            return result
        return replace(
            result,
            step=self._name(result.step),
            cause=None if result.cause is None else self._name(result.cause),
            path=tuple(map(self._name, result.path)),
            built_on_previous=tuple(map(self._name, result.built_on_previous)),
        )

    def _safely(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._note(
                f"WARNING: the results could not be written: {error}. User {user_name()} needs a"
                f" folder with room that it may write to: {self._folder}, or another one, as"
                " `target_path` in dagster_models.yaml or the environment variable"
                " DAGSTER_MODELS_TARGET_PATH sets it."
            )
