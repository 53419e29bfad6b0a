"""The only door to Dagster's private modules.

Everything that reaches below ``dagster``'s public names stands here, so that an upgrade of Dagster
is read against one file. What each piece rests on is said beside it (Dagster 1.13).
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dagster import (
    AssetCheckSpec,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    DagsterEvent,
    DagsterInvariantViolationError,
    DagsterRun,
    In,
    JobDefinition,
    Nothing,
    OpDefinition,
    Out,
    RetryPolicy,
    multi_asset,
)
from dagster._core.definitions.assets.definition.asset_spec import (
    SYSTEM_METADATA_KEY_DAGSTER_TYPE,
    SYSTEM_METADATA_KEY_IO_MANAGER_KEY,
    AssetExecutionType,
)
from dagster._core.definitions.assets.definition.assets_definition import (
    stringify_asset_key_to_input_name,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.decorators.decorator_assets_definition_builder import (
    create_check_specs_by_output_name,
)
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.definitions.definition_config_schema import (
    convert_user_facing_definition_config_schema,
)
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterInvalidSubsetError
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan import execute_step
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step
from dagster._core.execution.plan.inputs import FromMultipleSources
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.base import Executor
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.executor.multiprocess import execute_step_out_of_process
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.tags import (
    ASSET_RESUME_RETRY_TAG,
    GLOBAL_CONCURRENCY_TAG,
    PRIORITY_TAG,
    RESUME_RETRY_TAG,
)
from dagster._serdes import ConfigurableClassData
from dagster._time import datetime_from_timestamp
from dagster._utils import get_run_crash_explanation
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import pop_captured_interrupt
from dagster._utils.warnings import disable_dagster_warnings
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "INDEX_SHARD_NAME",
    "RETRIES_CONFIG",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "TAG_LIMITS_CONFIG",
    "ChildProcessCrashException",
    "ConfigurableClassData",
    "DagsterEvent",
    "DagsterExecutionInterruptedError",
    "DagsterRun",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "Executor",
    "KnownExecutionState",
    "Parked",
    "PlanExecutionContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "Selections",
    "SqliteEventLogStorage",
    "StepExecutionContext",
    "StepLog",
    "StepOutputHandle",
    "StepPools",
    "asset_of",
    "compute_function",
    "configured_resources",
    "create_db_conn_string",
    "datetime_from_timestamp",
    "engine_event",
    "error_message",
    "event_log_files",
    "executable_steps",
    "execute_step_out_of_process",
    "execute_with",
    "exhaust",
    "failure_event",
    "get_run_crash_explanation",
    "interrupted",
    "known_state",
    "one_commit",
    "park",
    "pool_blocked",
    "pool_of",
    "pop_captured_interrupt",
    "priority",
    "quiet_console",
    "resumed_runs",
    "retry_after_seconds",
    "serializable_error_info_from_exc_info",
    "stop_requested_by_user",
    "traits",
    "trigger_hooks",
    "waking_on_signals",
    "withheld_by",
]


RETRIES_CONFIG = get_retries_config()  # type: ignore[no-untyped-call]
TAG_LIMITS_CONFIG = get_tag_concurrency_limits_config()  # type: ignore[no-untyped-call]


def asset_of(
    compute: Callable[..., Any],
    name: str,
    spec: AssetSpec,
    check_specs: Sequence[AssetCheckSpec],
    retry_policy: RetryPolicy | None,
    pool: str | None,
    op_tags: Mapping[str, str],
) -> AssetsDefinition:
    """``multi_asset`` of one asset that *compute*, a function of the context alone, builds.

    The decorator finds out by *compute*'s signature what is known here, over and over, which is
    half of its time. Rests on ``DecoratorAssetsDefinitionBuilder.from_multi_asset_specs``; what a
    translator of the user's own may add to a spec is the decorator's.
    """
    if _needs_the_decorator(spec):
        decorate = multi_asset(
            name=name,
            specs=[spec],
            check_specs=check_specs,
            retry_policy=retry_policy,
            pool=pool,
            op_tags=op_tags,
        )
        return decorate(compute)
    keys = {
        stringify_asset_key_to_input_name(dep.asset_key).replace("-", "_"): dep.asset_key
        for dep in spec.deps
        if dep.asset_key != spec.key
    }
    output = spec.key.to_python_identifier()
    checks = create_check_specs_by_output_name(check_specs)
    with disable_dagster_warnings():
        op = OpDefinition(
            DecoratedOpFunction(compute),
            name=name,
            ins=dict.fromkeys(keys, _NOTHING),
            outs={output: _out_of(spec), **dict.fromkeys(checks, Out(None))},
            config_schema=_NO_CONFIG,
            tags=op_tags,
            retry_policy=retry_policy,
            pool=pool,
        )
        functools.update_wrapper(op, compute)
        return AssetsDefinition.dagster_internal_init(
            keys_by_input_name=keys,
            keys_by_output_name={output: spec.key},
            node_def=op,
            can_subset=False,
            resource_defs={},
            backfill_policy=None,
            check_specs_by_output_name=checks,
            specs=[spec],
            hook_defs=frozenset(),
            is_subset=False,
            selected_asset_keys=None,
            selected_asset_check_keys=None,
            execution_type=AssetExecutionType.MATERIALIZATION,
        )


_NOTHING = In(dagster_type=Nothing)
#: Frozen, and costly to make for each.
_NO_CONFIG = convert_user_facing_definition_config_schema({})


def _out_of(spec: AssetSpec) -> Out:
    return Out(
        Nothing,
        description=spec.description,
        is_required=not spec.skippable,
        metadata=spec.metadata,
        code_version=spec.code_version,
    )


def _needs_the_decorator(spec: AssetSpec) -> bool:
    stored = {SYSTEM_METADATA_KEY_IO_MANAGER_KEY, SYSTEM_METADATA_KEY_DAGSTER_TYPE}
    return (
        spec.partitions_def is not None
        or not stored.isdisjoint(spec.metadata)
        or any(dep.partition_mapping is not None for dep in spec.deps)
    )


def execute_with(
    executor: Executor,
    plan_context: PlanOrchestrationContext,
    loop: Callable[[PlanExecutionContext, ExecutionPlan], Iterator[DagsterEvent]],
) -> Iterator[DagsterEvent]:
    """Run *loop* as the in-process executor runs its own: resources up, *loop*, resources down."""
    return iter(
        ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=lambda job_context, execution_plan: loop(job_context, execution_plan),
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=executor.step_dependency_config,
            ),
        )
    )


def executable_steps(execution_plan: ExecutionPlan) -> dict[str, tuple[str, ...]]:
    """Step key -> its upstream step keys among those that this run executes.

    In topological order, alphabetical within a level: Dagster's own order differs from run to run.

    Raises:
        DagsterInvariantViolationError: the plan has dynamic steps, which are only known midway.
    """
    unresolved = [str(h) for h in execution_plan.step_handles_to_execute if "[?]" in h.to_key()]
    if unresolved:
        raise DagsterInvariantViolationError(
            f"models_executor does not run dynamic outputs (steps {', '.join(unresolved)}). Give "
            "this job Dagster's own executor: `executor_def=multiprocess_executor`."
        )
    deps = execution_plan.get_executable_step_deps()
    known = {step.key for step in execution_plan.get_steps_to_execute_in_topo_order()}
    levels = execution_plan.get_all_steps_by_level()
    order = [key for level in levels for key in sorted(s.key for s in level) if key in known]
    return {key: tuple(sorted(deps.get(key, set()) & known)) for key in order}


def known_state(
    execution_plan: ExecutionPlan,
    attempts: Mapping[str, int],
    outputs: set[StepOutputHandle] | None = None,
) -> KnownExecutionState:
    """What a step must know of the run so far: earlier attempts, and outputs that are ready."""
    before = execution_plan.known_state
    return KnownExecutionState(
        previous_retry_attempts=attempts,
        dynamic_mappings=before.dynamic_mappings,
        step_output_versions=before.step_output_versions,
        ready_outputs=(before.ready_outputs | outputs) if outputs else before.ready_outputs,
        parent_state=before.parent_state,
    )


def park(context: StepExecutionContext) -> tuple[DagsterEvent, Iterator[DagsterEvent]]:
    """Start a step's generator and park it at STEP_START, before any context manager is open.

    The rest must be exhausted, never dropped: a GeneratorExit becomes a false STEP_FAILURE.
    """
    events = dagster_event_sequence_for_step(context)
    return next(events), events


_one_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dagster_models-events")


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked generator whose step is over, which took ``seconds``."""

    context: StepExecutionContext
    events: Iterator[DagsterEvent]
    seconds: float


def exhaust(parked: Sequence[Parked]) -> list[list[DagsterEvent]]:
    """All remaining events of parked generators of one run, of each; in one commit, if possible.

    In a thread of its own, because ``raise_execution_interrupts`` makes a signal raise inside the
    compute function of the main thread: a step that has committed would be written as a failure.
    If one of them raises, the others are exhausted all the same.
    """
    return _one_thread.submit(_exhaust, parked).result()


def _exhaust(parked: Sequence[Parked]) -> list[list[DagsterEvent]]:
    # Dagster's step timer starts after STEP_START, where the generator was parked: set it back.
    original = execute_step.time_execution_scope  # type: ignore[attr-defined]
    found: list[list[DagsterEvent]] = []
    raised: list[BaseException] = []

    @contextlib.contextmanager
    def since_the_start() -> Iterator[Any]:
        with original() as timer:
            timer.start_time -= it.seconds
            yield timer

    execute_step.time_execution_scope = since_the_start  # type: ignore[attr-defined]
    try:
        with one_commit(parked[0].context):
            for it in parked:
                try:
                    found.append(list(it.events))
                except BaseException as error:
                    raised.append(error)
    finally:
        execute_step.time_execution_scope = original  # type: ignore[attr-defined]
    if raised:
        raise raised[0]
    return found


def one_commit(context: PlanExecutionContext) -> contextlib.AbstractContextManager[None]:
    """Events of the run that this thread stores in the block are committed together, if possible.

    Our own storage can (storage.py): one wait for the disk instead of one for each event.
    """
    begin = getattr(context.instance.event_log_storage, "one_commit", None)
    return begin(context.run_id) if begin is not None else contextlib.nullcontext()


def event_log_files(context: PlanOrchestrationContext) -> list[str]:
    """The files that Dagster's own SQLite event log writes for a run, the run's own first.

    Empty for every other storage, also for one that is derived from it.
    """
    storage = context.instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        return []
    return [storage.path_for_shard(shard) for shard in (context.run_id, INDEX_SHARD_NAME)]


def trigger_hooks(context: StepExecutionContext, events: Sequence[DagsterEvent]) -> Iterator[Any]:
    """Run the op's success and failure hooks on the events of its step."""
    return _trigger_hook(context, events)


def engine_event(
    context: PlanExecutionContext | PlanOrchestrationContext,
    message: str,
    metadata: Mapping[str, Any] | None = None,
) -> DagsterEvent:
    """An ENGINE_EVENT of the run, or of the step if *context* is a step's."""
    return DagsterEvent.engine_event(context, message, EngineEventData(metadata=metadata or {}))


def failure_event(context: StepExecutionContext, message: str) -> DagsterEvent:
    """STEP_FAILURE of a step that has no generator to say it."""
    told = SerializableErrorInfo(message=message, stack=[], cls_name=None)
    data = StepFailureData(told, user_failure_data=None)  # type: ignore[no-untyped-call]
    return DagsterEvent.step_failure_event(context, data)


def error_message(event: DagsterEvent) -> str:
    """What a STEP_FAILURE or STEP_UP_FOR_RETRY says went wrong, the innermost cause."""
    data: Any = event.event_specific_data
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else event.message or "failed"


def retry_after_seconds(event: DagsterEvent) -> float:
    """The delay that a STEP_UP_FOR_RETRY asks for; 0 for any other event."""
    data: Any = event.event_specific_data
    return float(getattr(data, "seconds_to_wait", None) or 0.0)


def withheld_by(
    execution_plan: ExecutionPlan, step_key: str, outputs: set[StepOutputHandle]
) -> frozenset[str]:
    """Downstream steps whose input *step_key* chose not to produce (optional outputs).

    As ActiveExecution decides: the outputs of asset checks do not count, and a fan-in goes on as
    long as one of its inputs is there.
    """

    def is_withheld(handles: set[StepOutputHandle], fan_in: bool) -> bool:
        gating = {
            handle
            for handle in handles
            if execution_plan.get_step_output(handle).properties.asset_check_key is None
        }
        missing = {h for h in gating if h.step_key == step_key and h not in outputs}
        return bool(missing) and (not fan_in or missing == gating)

    return frozenset(
        step.key
        for step in execution_plan.get_steps_to_execute_in_topo_order()
        for step_input in step.step_inputs
        if is_withheld(
            set(step_input.get_step_output_handle_dependencies()),
            isinstance(step_input.source, FromMultipleSources),
        )
    )


def traits(step: ExecutionStep) -> StepTraits:
    """What the plan needs to know of a step of Dagster's."""
    return StepTraits(tags=step.tags, priority=priority(step), pool=pool_of(step))


def compute_function(job: JobDefinition, step: ExecutionStep) -> Callable[..., Any] | None:
    """The decorated function behind a step's op."""
    compute = job.get_node(step.node_handle).definition.compute_fn  # type: ignore[attr-defined]
    return getattr(compute, "decorated_fn", None)


def priority(step: ExecutionStep) -> int:
    """The step's ``dagster/priority`` tag; what is no number counts as 0."""
    try:
        return int(step.tags.get(PRIORITY_TAG, 0))
    except ValueError:
        return 0


def pool_of(step: ExecutionStep) -> str | None:
    """The step's concurrency pool; Dagster still honours the tag that came before pools."""
    return step.pool or step.tags.get(GLOBAL_CONCURRENCY_TAG)


def interrupted(message: str) -> BaseException:
    """The error that makes Dagster end the run as canceled (if a user asked) or as failed."""
    error: BaseException = DagsterExecutionInterruptedError(message)
    return error


def resumed_runs(context: PlanExecutionContext) -> list[str]:
    """The runs that this one goes on from (a re-execution from failure), the last one first.

    A run that was re-executed as a whole wanted all of it built anew: the line ends there.
    """
    run: DagsterRun | None = context.dagster_run
    found: list[str] = []
    while run is not None and _is_resumed(run) and run.parent_run_id not in (None, *found):
        found.append(str(run.parent_run_id))
        run = context.instance.get_run_by_id(found[-1])
    return found


def _is_resumed(run: DagsterRun) -> bool:
    return "true" in (run.tags.get(RESUME_RETRY_TAG), run.tags.get(ASSET_RESUME_RETRY_TAG))


def configured_resources(context: PlanExecutionContext, kind: type) -> list[str]:
    """The keys of the job's resources of the class *kind* that the run config gives values to."""
    said: Any = context.run_config.get("resources") or {}
    definitions = context.job_def.resource_defs
    return [
        key
        for key, config in said.items()
        if config
        and config.get("config")
        and getattr(definitions.get(key), "configurable_resource_cls", None) is kind
    ]


def stop_requested_by_user(context: PlanExecutionContext) -> bool:
    """Whether somebody pressed Terminate for this run."""
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and run.status.value in ("CANCELING", "CANCELED")


@contextlib.contextmanager
def waking_on_signals(wake: socket.socket) -> Iterator[None]:
    """Let a signal write a byte to *wake*, so that a wait on its other end returns.

    Dagster's handler only sets a flag (``capture_interrupts``) and PEP 475 resumes the wait.
    """
    try:
        before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    except ValueError:  # not in the main thread: no signal comes here
        yield
        return
    # A closed terminal ends a run as Ctrl-C does; under nohup the signal is ignored, and stays so.
    hangs_up = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    if hangs_up:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        if hangs_up:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


def quiet_console(context: PlanExecutionContext | PlanOrchestrationContext) -> None:
    """Silence the console logger that Dagster adds by default, which prints each event at DEBUG.

    A logger that the user configured in the run config stays as it is, and so do the event log's
    handlers. Rests on DagsterLogManager keeping console loggers apart from handlers.
    """
    if context.run_config.get("loggers"):
        return
    for console in context.log._dagster_handler._loggers:
        console.disabled = True  # a level would not do: such loggers cache what is enabled


def pool_blocked(context: StepExecutionContext) -> DagsterEvent:
    """Tells the UI for which pool the step waits."""
    pool = pool_of(context.step) or ""
    return DagsterEvent.step_concurrency_blocked(context, pool, initial=True)


class StepPools:
    """Claims of places in Dagster's concurrency pools, for the steps of one run."""

    def __init__(self, context: PlanExecutionContext) -> None:
        self._context = context
        self._pools = InstanceConcurrencyContext(context.instance, context.dagster_run)
        self._pool_of: dict[str, str] = {}  #: step key -> the pool that it asked

    def __enter__(self) -> StepPools:
        self._pools.__enter__()
        self._free_what_died()
        return self

    def _free_what_died(self) -> None:
        """Give back the places of the runs that this one re-executes, if they are over.

        A run worker that was killed keeps its places for ever, unless the daemon was told to free
        them (``run_monitoring: free_slots_after_run_end_seconds``): its re-execution would wait
        for them, which is for itself.
        """
        instance = self._context.instance
        run: DagsterRun | None = self._context.dagster_run
        storage = instance.event_log_storage
        holding: set[str] | None = None
        while run is not None and (earlier := run.parent_run_id) is not None:
            if holding is None:
                limited = storage.supports_global_concurrency_limits
                holding = storage.get_concurrency_run_ids() if limited else set()
            run = instance.get_run_by_id(earlier)
            if earlier in holding and run is not None and run.is_finished:
                storage.free_concurrency_slots_for_run(earlier)

    def __exit__(self, *exc_info: Any) -> None:
        self._pools.__exit__(*exc_info)

    def claim(self, step: ExecutionStep) -> bool:
        """Ask for a place; False: ask again later."""
        pool = pool_of(step)
        if pool is None:
            return True
        self._pool_of[step.key] = pool
        return bool(self._pools.claim(pool, step.key, priority(step)))

    def free(self, step: ExecutionStep) -> list[str]:
        """Give the step's place back, if it has one.

        Returns the steps of this run that wait for the pool: they may ask at once. Left alone,
        Dagster would answer them only after the 1 to 15 s between two of its own looks
        (``_pending_timeouts``), though the place was theirs as soon as it was free.
        """
        self._pools.free_step(step.key)
        pool = self._pool_of.get(step.key)
        waiting = [
            key
            for key in self._pools.pending_claim_steps()
            if self._pool_of[key] == pool and key != step.key
        ]
        for key in waiting:
            self._pools._pending_timeouts.pop(key, None)
        return sorted(waiting)


class StepLog:
    """The log tab of one or more steps in the UI: what they write to stdout and stderr.

    ``open`` yields the LOGS_CAPTURED event that connects the steps with the log.
    """

    def __init__(self, context: PlanExecutionContext, step_keys: Sequence[str]) -> None:
        self._context, self._step_keys = context, list(step_keys)
        self._manager = context.instance.compute_log_manager
        file_key = create_compute_log_file_key()  # type: ignore[no-untyped-call]
        self._key = self._manager.build_log_key_for_run(context.run_id, file_key)
        self._open = contextlib.ExitStack()
        self._streams: dict[str, Any] = {}

    def open(self) -> Iterator[DagsterEvent]:
        kinds = {"stdout": ComputeIOType.STDOUT, "stderr": ComputeIOType.STDERR}
        for name, kind in kinds.items():
            stream = self._manager.open_log_stream(self._key, kind)
            self._streams[name] = self._open.enter_context(stream)
        captured = CapturedLogContext(self._key)
        yield DagsterEvent.capture_logs(self._context, self._step_keys, self._key, captured)

    def write(self, stream: str, text: str) -> None:
        """Append *text* to "stdout" or "stderr"; a no-op log manager has no stream."""
        file = self._streams.get(stream)
        if file is not None:
            file.write(text)
            file.flush()

    def close(self) -> None:
        self._open.close()
        # The local manager tells a page that is open to stop polling by a file of its own.
        path = getattr(self._manager, "complete_artifact_path", None)
        if path is not None:
            with contextlib.suppress(OSError), open(path(self._key), "a"):
                pass


class Selections:
    """Resolves asset selections over one graph, which is made when the first one asks: resolving
    by the public method makes it anew for each job."""

    def __init__(self, assets: Sequence[AssetsDefinition | AssetSpec]) -> None:
        self._assets = assets
        self._graph: AssetGraph | None = None

    def lacks(self, selection: AssetSelection) -> str:
        """Why *selection* selects nothing; "" if it selects something."""
        if self._graph is None:
            self._graph = AssetGraph.from_assets(
                AssetsDefinition(specs=[a]) if isinstance(a, AssetSpec) else a for a in self._assets
            )
        try:
            found = selection.resolve(self._graph)
        except DagsterInvalidSubsetError as error:
            return str(error).partition(". ")[0]
        return "" if found else "it would run nothing"


@dataclass(frozen=True, slots=True)
class StepTraits:
    """What Dagster knows of a step and the plan needs."""

    tags: Mapping[str, str]
    priority: int
    pool: str | None
