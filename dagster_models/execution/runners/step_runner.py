"""What the loop asks of a place where steps run.

``SqlSessions``, ``PythonWorkers`` and ``ForeignProcesses`` are such places on this machine, and
``RaySteps`` is a cluster.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

TaskT = TypeVar("TaskT", contravariant=True)
TargetT = TypeVar("TargetT", contravariant=True)


class StepRunner(Protocol[TaskT, TargetT]):
    """Starts steps, and stops them on request. What becomes of them goes to the event queue.

    A step that was started ends with exactly one of these events, whatever happens to it:

    - ``Answered``: its outcome, as the warehouse (or a script's own process) stated it;
    - ``NotStarted``: the task never reached a worker, so nothing was published;
    - ``Lost``: it ended without an outcome. ``session`` names the session in which it wrote, so
      that its commit record can be read once that session is provably gone.

    (A foreign step ends with a ``ForeignEnd``.) ``Output`` may come before that, and nothing may
    come after it.

    The end is a fact that the place states: an exit code, the end of a session, a cluster's own
    record. An accepted cancel or kill is not an end, and neither is the loss of the channel to the
    step, which may go on and publish. A step that can outlive this process is started under a name
    made of the task's run id, step and attempt: these are known beforehand, so that another
    process can find the step again.

    All methods are called in the thread that waits for the queue, and none of them waits.
    """

    def start(self, step: str, task: TaskT, target: TargetT, /) -> None:
        """Hand the task to a worker; events call it ``step`` from here on.

        ``target``: where the step builds, a WarehouseAddress; a foreign step has none.

        Raises:
            Exception: nothing was started, and no event follows.
        """

    def cancel(self, step: str) -> None:
        """Ask the step to stop. Harmless for a step that is not running here."""

    def kill(self, step: str) -> None:
        """End a step that did not stop in time. Harmless for a step that is not running here."""

    def close(self) -> None:
        """End all that this runner has; what a step has not committed is rolled back."""
