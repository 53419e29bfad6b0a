"""The jobs and schedules of a project. They run under models_executor, and only what is its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from dagster import (
    AssetChecksDefinition,
    AssetKey,
    AssetSelection,
    DagsterError,
    ScheduleDefinition,
    TimeWindowPartitionsDefinition,
    define_asset_job,
)

from dagster_models._dagster.assets import Selections
from dagster_models.core.jobs import Job, Schedule
from dagster_models.core.model import Location, Project
from dagster_models.core.step_keys import prefixed
from dagster_models.definitions.executor import executor_of
from dagster_models.definitions.held_back import Evaluate, held_back, launch
from dagster_models.definitions.other_assets import (
    OtherAsset,
    dynamic_keys,
    executable_keys,
    run_with_the_project,
    specs_of,
)
from dagster_models.definitions.partitioned_jobs import (
    Groups,
    groups_of,
    partitioned_schedule,
    schedule_of,
    several,
    wrong_schedule,
)
from dagster_models.definitions.selection import asset_nodes
from dagster_models.definitions.translator import beta_features
from dagster_models.errors import Problem, SelectionError
from dagster_models.execution.options import chosen_target
from dagster_models.project.problems import problem
from dagster_models.project.selection import select
from dagster_models.project.source_freshness import awaited
from dagster_models.project.targets import usable_target

_SELECTION = (
    'E.g. selection: "*", marts.orders+, tag:nightly, or group:"marts" and not key:"marts/x".'
)


class ProjectJobs:
    """Makes the jobs and schedules of *project*.

    ``built`` are its assets, ``checks`` those of its sources, and ``given`` are the assets of
    others that its Definitions hold as well. A code location may hold more, from other Definitions,
    and a job selects none of these: not with ``*``, and not with the name of a group that another
    project has, too.

    ``problems``: what Dagster refuses. ``empty_severity`` is that of a job that selects nothing.
    ``broken`` are assets that can only fail, as their files are wrong. A job may mean them by what
    cannot be read: one that selects nothing runs them, and is not refused.
    """

    def __init__(
        self,
        project: Project,
        built: Sequence[OtherAsset],
        checks: Sequence[AssetChecksDefinition],
        given: Sequence[OtherAsset],
        empty_severity: str,
        broken: Collection[AssetKey] = (),
    ) -> None:
        own = [*built, *filter(run_with_the_project, given)]
        self._project, self._broken = project, broken
        self._severity = "warning" if broken else "error"
        self._empty_severity = "warning" if broken else empty_severity
        self._own = AssetSelection.assets(*(spec.key for spec in specs_of(own)))
        self._executor = executor_of(project)
        self._dynamic = dynamic_keys(given)
        self._assets = [*built, *given]
        self._selections = Selections([*built, *checks, *given])
        self._partitioned = {spec.key: spec for spec in specs_of(own) if spec.partitions_def}
        self._groups: dict[str, Groups] = {}  #: of each job
        self.problems: list[Problem] = []

    def make(self) -> tuple[list[Any], list[ScheduleDefinition]]:
        """The jobs and schedules that Dagster accepts."""
        jobs = {job.name: self._job(job) for job in self._project.jobs}
        schedules = [self._schedule(schedule, jobs) for schedule in self._project.schedules]
        return list(filter(None, jobs.values())), list(filter(None, schedules))

    def _job(self, job: Job) -> Any:
        with beta_features():
            try:
                selection = self._meant(job)
                if job.only_checks:
                    selection = self._checks_alone(selection)
                made = define_asset_job(
                    prefixed(self._project.key_prefix, job.name),
                    selection=selection,
                    description=job.description or None,
                    tags=dict(job.tags),
                    executor_def=self._executor,
                )
            except SelectionError as error:
                self._wrong_selection(job, f"job {job.name}: {error}")
                return None
            except DagsterError as error:
                self._refused(f"job {job.name}", error, job.location, _SELECTION)
                return None
            if job.selection != "*" or job.only_checks or self._dynamic or self._partitioned:
                self._check_selection(job, selection)
        return made

    def _checks_alone(self, selection: AssetSelection) -> AssetSelection:
        """The checks of what is selected, and all in it that can only fail: which checks its files
        would have is unknown, so a run without them must not succeed."""
        checks = AssetSelection.all_asset_checks() & selection
        failing = self._selections.resolve(selection)[0] & set(self._broken)
        return checks | AssetSelection.assets(*failing) if failing else checks

    def _meant(self, job: Job) -> AssetSelection:
        """What the job runs. Raises SelectionError, as ``_selection`` does."""
        try:
            return self._selection(job) & self._own
        except SelectionError as error:
            if not self._broken:
                raise
            self._wrong_selection(job, f"job {job.name}: {error}")
            return AssetSelection.assets(*self._broken)

    def _selection(self, job: Job) -> AssetSelection:
        """Dagster's own syntax means what Dagster makes of it. What Dagster does not know, or finds
        nothing with, is in the words that `dagster-models run` takes as well.

        Raises:
            SelectionError: it is in neither, or matches nothing.
        """
        if job.selection == "*":  # as `from_string` has it, which imports a parser for that
            return AssetSelection.all(job.only_checks)
        with suppress(DagsterError):
            selection = AssetSelection.from_string(job.selection, job.only_checks)
            if self._selections.resolve(selection & self._own)[0]:
                return selection
        names = select(asset_nodes(self._assets), job.selection, None)
        keys = executable_keys(self._assets).intersection(map(AssetKey.from_user_string, names))
        if not keys:
            raise SelectionError(f"`{job.selection}` selects nothing that a run can build")
        return AssetSelection.assets(*keys)

    def _check_selection(self, job: Job, selection: AssetSelection) -> None:
        """Report a job that would succeed every night without running anything, and one that
        models_executor cannot run."""
        found, checks, missing = self._selections.resolve(selection)
        place = job.location
        groups = self._groups[job.name] = groups_of(found, self._partitioned)
        if (wrong := several(job, groups)) is not None:
            self._report(wrong, place)
        if job.only_checks and not checks:
            what = f"job {job.name} runs only checks, and what it selects has none"
            self._report((what, "Give a model or source `checks:`, or delete the job."), place)
        elif job.selection != "*" and not found and not job.only_checks:
            what = f"the selection of job {job.name} matches nothing: {missing}"
            self._wrong_selection(job, what)
        if dynamic := sorted(key.to_user_string() for key in found & self._dynamic):
            names = ", ".join(dynamic)
            what = f"job {job.name} selects {names}, whose graph has dynamic outputs"
            without = " and ".join(f'not key:"{name}"' for name in dynamic)
            fix = (
                "models_executor cannot run them. Leave it out with"
                f" `selection: '{job.selection} and {without}'`, and give it a job of its own in"
                " Python (define_asset_job), which keeps Dagster's executor."
            )
            self.problems.append(problem(what, place, fix))

    def _schedule(self, schedule: Schedule, jobs: Mapping[str, Any]) -> ScheduleDefinition | None:
        if jobs[schedule.job] is None:  # its own problem is reported
            return None
        groups = self._groups.get(schedule.job, {})
        if (wrong := wrong_schedule(schedule, groups)) is not None:
            self._report((f"schedule {schedule.name}: {wrong[0]}", wrong[1]), schedule.location)
            return None
        name = prefixed(self._project.key_prefix, schedule.name)
        definition = next(iter(groups), None)
        try:
            if isinstance(definition, TimeWindowPartitionsDefinition):
                job = jobs[schedule.job]
                return partitioned_schedule(schedule, name, job, definition, self._held(schedule))
            return schedule_of(
                schedule,
                name,
                jobs[schedule.job],
                schedule.cron,
                schedule.timezone,
                self._held(schedule)(launch(schedule.tags)),
            )
        except (DagsterError, ValueError) as error:
            fix = 'E.g. cron: "0 6 * * *" and timezone: America/New_York.'
            self._refused(f"schedule {schedule.name}", error, schedule.location, fix)
        return None

    def _held(self, schedule: Schedule) -> Callable[[Evaluate], Evaluate]:
        """What makes a tick wait until the sources are fresh on the target of the job's runs."""
        project, sources = self._project, awaited(schedule, self._project.sources)
        if not sources:
            return lambda evaluate: evaluate
        tags = next(job.tags for job in project.jobs if job.name == schedule.job)
        target = partial(usable_target, project, chosen_target({**tags, **schedule.tags}, {}))
        return lambda evaluate: held_back(evaluate, project, target, sources)

    def _wrong_selection(self, job: Job, what: str) -> None:
        self.problems.append(problem(what, job.location, _SELECTION, self._empty_severity))

    def _report(self, wrong: tuple[str, str], place: Location) -> None:
        what, fix = wrong
        self.problems.append(problem(what, place, fix, self._severity))

    def _refused(self, what: str, error: Exception, place: Location, fix: str) -> None:
        reason = " ".join(str(error).split())
        text = f"Dagster refuses {what}: {reason}"
        self.problems.append(problem(text, place, fix))
