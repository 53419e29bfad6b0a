"""The beginning of a step's process: it receives one step, and runs it where it must run."""

from __future__ import annotations

import atexit
import os
import socket
from typing import NoReturn

from dagster_models.core.tasks import ScriptTask, task_from_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes import wire
from dagster_models.processes.client import launch, leave
from dagster_models.processes.worker.environments import enter, read_given
from dagster_models.processes.worker.process import StepProcess


def serve(control: socket.socket, given: int | None = None) -> NoReturn:
    """Receive one step, run it, and end the process.

    ``given``: the descriptor of a file with the step that another process has received, which has
    become this one in the environment of the step.
    """
    control.set_inheritable(False)
    # The end of the user's code is not yet that of the process.
    leave.forget()
    atexit.unregister(launch.disown)
    try:
        frames = [wire.receive(control) for _ in range(2)] if given is None else read_given(given)
    except (EOFError, OSError):
        os._exit(0)  # the run worker is gone already
    address, task = WarehouseAddress.from_json(frames[0]), task_from_json(frames[1]["task"])
    if isinstance(task, ScriptTask) and task.environment is not None and given is None:
        enter(control, frames, task, task.environment)
    StepProcess(control, address).run(task)
    os._exit(0)
