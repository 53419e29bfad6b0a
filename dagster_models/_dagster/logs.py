"""What a run prints to the console, and what its steps write to their log in the UI."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from dagster import DagsterEvent
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType

from dagster_models._dagster.types import PlanExecutionContext, PlanOrchestrationContext


def quiet_console(context: PlanExecutionContext | PlanOrchestrationContext) -> None:
    """Silence the console logger that Dagster adds by default, which prints each event at DEBUG.

    A logger that the user configured in the run config stays as it is, and so do the handlers of
    the event log. This rests on DagsterLogManager keeping console loggers apart from handlers.
    """
    if context.run_config.get("loggers"):
        return
    handler = context.log._dagster_handler
    for console in handler._loggers:  # those of the resources, which are made already, have them
        console.disabled = True  # a level would not do: such loggers cache what is enabled
    # The logs of steps are made of this one. For a logger that is disabled, Dagster still copies
    # each record, which takes 3 % of a step.
    handler._loggers = ()


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
        """Append *text* to "stdout" or "stderr"; a no-op log manager has no streams."""
        file = self._streams.get(stream)
        if file is not None:
            file.write(text)
            file.flush()

    def close(self) -> None:
        self._open.close()
        # A file of its own is the local manager's sign to an open page that it may stop polling.
        path = getattr(self._manager, "complete_artifact_path", None)
        if path is not None:
            with contextlib.suppress(OSError), open(path(self._key), "a"):
                pass
