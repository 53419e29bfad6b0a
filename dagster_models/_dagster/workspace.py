"""Code locations as `dagster dev` loads them, and runs that belong to them.

`dagster job execute` makes runs without the code location that their job comes from, which the UI
and the daemon cannot show or retry. A run that is made here has it, as those of the UI do. It is
executed by this process all the same, with its output in this terminal.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetsDefinition,
    DagsterEventType,
    DagsterExecutionStepNotFoundError,
    DagsterInstance,
    DagsterInvalidSubsetError,
    DagsterRun,
    DagsterRunStatus,
    JobDefinition,
    RunsFilter,
    __version__,
)
from dagster._cli.workspace.cli_target import get_workspace_from_cli_opts
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster_shared.cli import WorkspaceOpts

from dagster_models._dagster.runs import attended
from dagster_models._dagster.types import KnownExecutionState

#: The tag with the code location of a run.
REPOSITORY_LABEL = ".dagster/repository"

#: The job that Dagster makes of all assets of a code location, for runs without a job.
ASSET_JOB = "__ASSET_JOB"

_PAGE = 20  #: how many runs are asked for at once

#: What a run was to make, and what its job has no more.
Gone: TypeAlias = "tuple[AssetKey | AssetCheckKey, ...]"


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A run that goes on from another one, without what is gone."""

    run: DagsterRun
    gone: Gone = ()


class NothingThere(Exception):
    """All that a run has left to do is gone."""

    def __init__(self, gone: Gone) -> None:
        super().__init__(gone)
        self.gone = gone


class LoadedLocation:
    """The definitions of one code location, loaded in this process."""

    def __init__(self, workspace: Any, location: Any, repository: Any) -> None:
        self._workspace, self._location, self._repository = workspace, location, repository
        self._instance: DagsterInstance = workspace.instance

    @property
    def name(self) -> str:
        """That of the code location."""
        return str(self._location.name)

    @property
    def jobs(self) -> list[str]:
        return [job.name for job in self._repository.get_all_jobs()]

    def job(self, name: str) -> JobDefinition:
        job: JobDefinition = self._code(name).get_definition()
        return job

    def assets(self) -> list[AssetsDefinition]:
        if not self._repository.has_job(ASSET_JOB):  # Dagster makes it only if there are assets
            return []
        repository = self._code(ASSET_JOB).get_repository_definition()
        return list(repository.asset_graph.assets_defs) if repository is not None else []

    def new_run(
        self,
        job_name: str,
        keys: Collection[AssetKey],
        tags: Mapping[str, str],
        run_config: Mapping[str, Any],
        checks: Collection[AssetCheckKey] | None = None,
        parent: DagsterRun | None = None,
    ) -> DagsterRun:
        """A run of these assets of a job, and of these *checks* (None: those of the assets), which
        has not begun."""
        full = self._repository.get_full_job(job_name)
        chosen = None if checks is None else set(checks)
        job = self._location.get_job(full.get_subset_selector(set(keys), chosen))
        plan = self._location.get_execution_plan(
            job,
            run_config,
            step_keys_to_execute=None,
            known_state=None,
            instance=self._instance,
        ).execution_plan_snapshot
        return self._instance.create_run(
            job_name=job_name,
            run_id=None,
            run_config=run_config,
            status=None,
            tags={**job.tags, **tags},
            root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
            parent_run_id=parent.run_id if parent else None,
            step_keys_to_execute=plan.step_keys_to_execute,
            execution_plan_snapshot=plan,
            job_snapshot=job.job_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            asset_selection=job.asset_selection,
            asset_check_selection=job.asset_check_selection,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
            asset_graph=self._workspace.asset_graph,
        )

    def runs(self) -> Iterator[DagsterRun]:
        """The runs of this code location, the newest one first."""
        label = {REPOSITORY_LABEL: self._repository.get_remote_origin().get_label()}
        cursor: str | None = None
        while found := self._instance.get_runs(RunsFilter(tags=label), cursor, limit=_PAGE):
            yield from found
            cursor = found[-1].run_id

    def has_results(self, run: DagsterRun) -> bool:
        """Whether a run has done something, or may still do it: a run that could not begin has
        failed without a step."""
        if not run.is_failure_or_canceled:
            return run.status not in (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED)
        return self.has_begun(run)

    def has_begun(self, run: DagsterRun) -> bool:
        """Whether a step of the run has started."""
        started = {DagsterEventType.STEP_START}
        return bool(self._instance.get_records_for_run(run.run_id, of_type=started).records)

    def again_from_failure(self, run: DagsterRun, job_name: str) -> GoesOn:
        """What "Re-execute from failure" of the UI makes of a run, of what a job of that name still
        has.

        Raises DagsterInvalidSubsetError if the run has nothing left to do, and NothingThere if that
        is gone.
        """
        run = run._replace(job_name=job_name)
        try:
            return GoesOn(self._again(run))
        except (DagsterInvalidSubsetError, DagsterExecutionStepNotFoundError):
            there, gone = self._divided(run)
            if not gone:
                raise
        if not there.step_keys_to_execute:
            raise NothingThere(gone)
        return GoesOn(self._again(there), gone)

    def _again(self, run: DagsterRun) -> DagsterRun:
        return self._instance.create_reexecuted_run(
            request_context=self._workspace,
            parent_run=run,
            code_location=self._location,
            remote_job=self._remote_job(run),
            strategy=ReexecutionStrategy.FROM_FAILURE,
            use_parent_run_tags=True,
        )

    def _divided(self, run: DagsterRun) -> tuple[DagsterRun, Gone]:
        """The run without what its job has no more, with the steps that are left to do; and what
        was left to do of the rest."""
        layer = self.job(run.job_name).asset_layer
        assets, checks = run.asset_selection, run.asset_check_selection
        if assets is not None:
            run = run._replace(asset_selection=set(assets).intersection(layer.selected_asset_keys))
        if checks is not None:
            every = layer.asset_graph.asset_check_keys
            run = run._replace(asset_check_selection=set(checks).intersection(every))
        today: set[str] = set()
        if run.asset_selection or run.asset_check_selection or not (assets or checks):
            plan = self._location.get_execution_plan(
                self._remote_job(run),
                run.run_config,
                step_keys_to_execute=None,
                known_state=None,
                instance=self._instance,
            ).execution_plan_snapshot
            today = {step.key for step in plan.steps}
        left, _ = KnownExecutionState.build_resume_retry_reexecution(self._instance, run)
        there = [key for key in left if re.sub(r"\[.*\]$", "[?]", key) in today]
        planned = self.planned(run)
        gone = tuple(it for key in left if key not in there for it in planned.get(key, ()))
        return run._replace(step_keys_to_execute=there), gone

    def _remote_job(self, run: DagsterRun) -> Any:
        job = self._repository.get_full_job(run.job_name)
        if not (run.asset_selection or run.asset_check_selection):
            return job
        assets, checks = set(run.asset_selection or ()), run.asset_check_selection
        return self._location.get_job(job.get_subset_selector(assets, checks))

    def planned(self, run: DagsterRun) -> dict[str, list[AssetKey | AssetCheckKey]]:
        """The steps of a run, whether they are still there or not -> the assets of each, or else
        its checks."""
        if run.execution_plan_snapshot_id is None:  # whoever made it has not planned it
            return {}
        plan = self._instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        found: dict[str, list[AssetKey | AssetCheckKey]] = {}
        for step in plan.steps:
            outputs = [output.properties for output in step.outputs if output.properties]
            assets = [it.asset_key for it in outputs if it.asset_key]
            found[step.key] = [*assets] or [
                it.asset_check_key for it in outputs if it.asset_check_key
            ]
        return found

    def failed_checks(self, run: DagsterRun) -> dict[AssetCheckKey, bool]:
        """The checks that failed in a run with the severity error -> whether the run has
        materialized what they are about, all the same."""
        evaluated = DagsterEventType.ASSET_CHECK_EVALUATION
        built = DagsterEventType.ASSET_MATERIALIZATION
        found = self._instance.get_records_for_run(run.run_id, of_type={evaluated, built}).records
        failed: dict[AssetCheckKey, bool] = {}
        materialized = set()
        for record in found:
            event = record.event_log_entry.get_dagster_event()
            if event.event_type is built:
                materialized.add(event.asset_key)
                continue
            evaluation = event.asset_check_evaluation_data
            failed.pop(evaluation.asset_check_key, None)
            if not evaluation.passed and evaluation.severity is AssetCheckSeverity.ERROR:
                failed[evaluation.asset_check_key] = True
        return {key: key.asset_key in materialized for key in failed}

    def mark_failed(self, run: DagsterRun, message: str) -> DagsterRun:
        """The run as one that has failed, which nobody executes any more."""
        self._instance.report_run_failed(run, message)
        return self._instance.get_run_by_id(run.run_id) or run

    def execute(self, run: DagsterRun) -> str:
        """Execute the run in this process, and return its status: SUCCESS, FAILURE or CANCELED."""
        origin = run.job_code_origin
        assert origin is not None
        with attended(run.run_id):
            execute_run(recon_job_from_origin(origin), run, self._instance)
        ended = self._instance.get_run_by_id(run.run_id)
        return ended.status.value if ended is not None else "FAILURE"

    def _code(self, job_name: str) -> Any:
        origin = self._repository.get_full_job(job_name).get_python_origin()
        return recon_job_from_origin(origin)


@contextmanager
def opened_workspace(
    instance: DagsterInstance,
    workspace: str | None = None,
    python_file: str | None = None,
    module_name: str | None = None,
) -> Iterator[tuple[list[LoadedLocation], list[str]]]:
    """The code locations that Dagster's options of these names give, or else those of the current
    folder, and what is wrong with those that do not load."""
    given = WorkspaceOpts(
        workspace=[workspace] if workspace else None,
        python_file=[python_file] if python_file else None,
        module_name=[module_name] if module_name else None,
    )
    with ExitStack() as stack:
        with warnings.catch_warnings():  # of what does not load, with all frames of Dagster
            warnings.simplefilter("ignore", UserWarning)
            loaded = stack.enter_context(
                get_workspace_from_cli_opts(
                    instance, __version__, given, allow_in_process=True, log_level="WARNING"
                )
            )
        locations = [
            LoadedLocation(loaded, location, repository)
            for location in loaded.code_locations
            for repository in location.get_repositories().values()
        ]
        yield locations, [_innermost(error) for error in loaded.code_location_errors()]


def _innermost(error: Any) -> str:
    while error.cause is not None:
        error = error.cause
    return re.sub(r"^dagster_models\.errors\.\w+: ", "", str(error.message).strip())
