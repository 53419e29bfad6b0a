"""Programs that tests run, and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import warm_python

BIN = Path(sys.executable).parent
DAGSTER, DAGSTER_MODELS = str(BIN / "dagster"), str(BIN / "dagster-models")


def output_of(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 250,
) -> str:
    """What a command prints that must succeed, in *folder*."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def shell(folder: Path, *commands: str) -> str:
    """What the commands print where no home of Dagster is set yet, as for a new user."""
    environment = {it: os.environ[it] for it in os.environ if not it.startswith("DAGSTER")}
    path = os.pathsep.join((warm_python.commands(), str(BIN), os.environ["PATH"]))
    env = {**environment, "PATH": path, "HOME": str(folder), "NO_COLOR": "1"}
    return output_of(["bash", "-ec", "\n".join(commands)], folder, env)
