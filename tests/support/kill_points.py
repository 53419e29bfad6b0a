"""Processes that kill themselves before an act of a build, and what is left of their work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from dagster_models.core.tasks import BuildTask, task_to_json
from paths import SUPPORT
from systems import System


class Acts:
    """Counts acts of this process, which kills itself before the one of number ``last``."""

    def __init__(self, last: int) -> None:
        self._last, self._count = last, 0

    def count(self, holder: Any, *names: str) -> None:
        """Count the calls of these functions of a module or object."""
        for name in names:
            setattr(holder, name, self._counted(getattr(holder, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **more: Any) -> Any:
            self._count += 1
            if self._count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return counting


def run_program(program: str, *given: Any) -> subprocess.CompletedProcess[str]:
    """Run a text of Python, which finds ``given`` as JSON in its first argument."""
    return subprocess.run(
        [sys.executable, "-c", program, json.dumps(given)],
        env={"PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


#: Prints the verdict and the keys of the partitions that are committed.
_BUILD = """
import json, sys
from dagster_models.core.tasks import task_from_json
from dagster_models.processes.server.attempt import Stop, run
from kill_points import Acts
from systems import System, session_of

name, settings, task, last = json.loads(sys.argv[1])
with session_of(System(name, settings, "", "").open()) as session:
    Acts(last).count(session, "begin", "take_turn", "stage", "rows", "change", "replace_table",
                     "columns", "write_record", "commit")
    outcome = run(session, task_from_json(task), Stop())
    print(json.dumps([outcome.verdict.value, outcome.partitions]))
"""


def build(system: System, task: BuildTask, last: int) -> subprocess.CompletedProcess[str]:
    """Carry the task out in a process that kills itself before its statement of number *last*."""
    return run_program(_BUILD, system.name, system.settings, task_to_json(task), last)
