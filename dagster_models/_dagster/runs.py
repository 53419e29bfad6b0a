"""A run: how it is stopped, what it goes on from, and where it is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from dagster import DagsterEvent, DagsterRun
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG


def event_log_files(context: PlanOrchestrationContext) -> list[str]:
    """The files that Dagster's own SQLite event log writes for a run, the run's own first.

    Empty for every other storage, also for one that is derived from it.
    """
    storage = context.instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        return []
    return [storage.path_for_shard(shard) for shard in (context.run_id, INDEX_SHARD_NAME)]


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
