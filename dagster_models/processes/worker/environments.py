"""The environments of scripts with packages of their own (PEP 723), and the way into one.

<target>/environments/<digest>/         a virtual environment, made once
<target>/environments/<digest>/shared/  what is ours in it: dagster_models, and pyarrow
<target>/environments/<digest>.lock     flock'ed by the one process that makes it

The process of the step becomes an interpreter of the environment: it keeps its pid, its pipes and
its control socket, so it is stopped and ends like any other step. What is installed is printed to
the step's own output.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NoReturn

import dagster_models
from dagster_models.core.environments import Environment
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.tasks import ScriptTask
from dagster_models.errors import ErrorKind
from dagster_models.processes import wire
from dagster_models.processes.handshake import package_version
from dagster_models.util.runtime_files import acquire

_LOOK_SECONDS = 0.05
_DONE = "complete"


class _InstallStopped(Exception):
    """The run worker has sent a cancel, or is gone."""


class _InstallFailed(Exception):
    """The environment could not be made."""


def enter(
    control: socket.socket,
    frames: Sequence[Mapping[str, Any]],
    task: ScriptTask,
    environment: Environment,
) -> NoReturn:
    """Make the environment if it is not there, and go on in its interpreter with the step that was
    received. If that fails or the step is stopped before, send the outcome and end."""
    began, clock = time.time(), time.perf_counter()
    try:
        folder = made(environment, control)
        print(f"Environment: {_contents(folder)}", flush=True)
    except (_InstallStopped, _InstallFailed, OSError) as failure:
        verdict, kind, message = Verdict.FAILED, ErrorKind.USER_CODE, str(failure)
        if isinstance(failure, _InstallStopped):
            verdict, kind, message = Verdict.CANCELED, ErrorKind.CANCELED, "stopped on request"
        error = TaskError(kind, message, line=environment.line)
        seconds = time.perf_counter() - clock
        outcome = Outcome(
            task.step, task.attempt, verdict, error=error, started_at=began, seconds=seconds
        )
        with suppress(OSError):
            wire.send(control, {"outcome": outcome.to_json(), "loaded": []})
        os._exit(0)
    _become(_python(folder), control, frames)


def _become(python: Path, control: socket.socket, frames: Sequence[Mapping[str, Any]]) -> NoReturn:
    given = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open for the next program)
    given.write(json.dumps(frames).encode())
    given.seek(0)
    for descriptor in (control.fileno(), given.fileno()):
        os.set_inheritable(descriptor, True)
    numbers = ["--step", str(control.fileno()), "--given", str(given.fileno())]
    command = [str(python), "-m", "dagster_models.processes.worker", *numbers]
    os.execve(python, command, _environ())


def read_given(descriptor: int) -> list[dict[str, Any]]:
    """The frames of the step that ``enter`` has received."""
    with open(descriptor, "rb") as file:
        found: list[dict[str, Any]] = json.load(file)
    return found


def made(environment: Environment, control: socket.socket | None = None) -> Path:
    """The folder of the environment, which is made if it is not there.

    Raises _InstallStopped as soon as something arrives on ``control``, _InstallFailed if the
    packages cannot be installed, and OSError.
    """
    ours = Path(dagster_models.__file__).parent
    identity = (sys.version, str(ours), package_version())
    folder = Path(environment.folder, environment.digest(*identity))
    os.makedirs(environment.folder, exist_ok=True)
    with _turn(folder, control):
        if not (folder / _DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            named = ", ".join(environment.dependencies) or "no packages"
            print(f"Making the script's environment, once, with {named} ({folder})", flush=True)
            _install(folder, environment.dependencies, control)
            _share(folder, ours)
            (folder / _DONE).touch()
    return folder


@contextmanager
def _turn(folder: Path, control: socket.socket | None) -> Iterator[None]:
    """Wait until no other process makes this environment."""
    while (lock := acquire(f"{folder}.lock")) is None:
        _look(control)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _look(control: socket.socket | None) -> None:
    """Wait a moment for the run worker. What it has sent stays to be read."""
    if control is None:
        time.sleep(_LOOK_SECONDS)
    elif select.select([control], [], [], _LOOK_SECONDS)[0]:
        raise _InstallStopped


def _install(folder: Path, dependencies: Sequence[str], control: socket.socket | None) -> None:
    """With uv where it is installed, as it takes seconds where pip takes minutes."""
    uv, python = shutil.which("uv"), str(_python(folder))
    if uv is not None:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], control)
        install = [uv, "pip", "install", "--python", python]
    else:
        _run([sys.executable, "-m", "venv", str(folder)], control)
        quiet = ["--quiet", "--disable-pip-version-check"]
        install = [python, "-m", "pip", "install", *quiet]
    if dependencies:
        _run([*install, *dependencies], control)


def _run(command: Sequence[str], control: socket.socket | None) -> None:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_environ()) as process:
        try:
            while process.poll() is None:
                _look(control)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        what = " ".join(command[:3]) if command[1] == "-m" else " ".join(command[:2])
        raise _InstallFailed(
            f"the script's packages could not be installed: `{what}` ended with exit code"
            f" {process.returncode}, and the step's log has what it printed"
        )


def _environ() -> dict[str, str]:
    """Ours, without what would lead the environment's interpreter to packages of the project."""
    theirs = ("PYTHONPATH", "PYTHONHOME")
    return {name: text for name, text in os.environ.items() if name not in theirs}


def _share(folder: Path, ours: Path) -> None:
    """Let the environment find this package, and pyarrow, unless it has one of its own."""
    shared = folder / "shared"
    about = shared / f"dagster_models-{package_version()}.dist-info"
    about.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: dagster-models\nVersion: {package_version()}\n"
    (about / "METADATA").write_text(metadata, encoding="utf-8")
    (shared / "dagster_models").symlink_to(ours)
    arrow = importlib.util.find_spec("pyarrow")
    if arrow is not None and arrow.origin is not None:
        (shared / "pyarrow").symlink_to(Path(arrow.origin).parent)
    # It comes after the environment's own packages.
    (_packages(folder) / "dagster_models_shared.pth").write_text(f"{shared}\n", encoding="utf-8")


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _packages(folder: Path) -> Path:
    version = "python{}.{}".format(*sys.version_info)
    return folder / "lib" / version / "site-packages"


def _contents(folder: Path) -> str:
    """What is installed in it, for the log."""
    found = {it.metadata["Name"]: it.version for it in distributions(path=[str(_packages(folder))])}
    names = sorted(set(found) - {"pip", "setuptools", "wheel"}, key=str.lower)
    packages = ", ".join(f"{name} {found[name]}" for name in names) or "no packages"
    return f"{packages} (Python {sys.version.split()[0]}, {folder})"
