"""The benchmarks still run: each in its smallest setting. Their figures are not looked at here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parent / "bench"


def test_each_runs_in_its_smallest_setting() -> None:
    """All at once, to be quick. The simulation's exit code is 1 if a goal is missed: its figures
    are the same on every machine."""
    told = {
        "schedule.py": "goal met: with known durations",
        "loading.py": "lineage anew",
        "overhead.py": "ours, pooled event log",
        "sleepers.py": "4 models that sleep",
        "stopping.py": "from STEP_FAILURE to the run's failure",
        "postgres.py": "to the last query gone",
        "tricks.py": "idle connections",
        "incremental.py": "merge, as dbt",
    }
    if sys.platform == "linux":
        told["memory.py"] = "warehouse process"
        told["python_steps.py"] = "model of pandas"
    running = {
        script: subprocess.Popen(
            [sys.executable, str(BENCH / script), "--quick"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for script in told
    }
    outputs = {script: process.communicate()[0] for script, process in running.items()}
    for script, process in running.items():
        assert process.returncode == 0, outputs[script]
        assert told[script] in outputs[script]
