"""The benchmarks still run: each in its smallest setting. Their figures are not looked at here."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from running import EXHAUSTIVE

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parent / "bench"


#: What each prints if it has measured something. The simulation's exit code is 1 if a goal is
#: missed: its figures are the same on every machine.
PRINTS = {
    "launch.py": "the first step starts",
    "schedule.py": "known durations, above dbt at worst",
    "loading.py": "lineage anew",
    "overhead.py": "ours, pooled event log",
    "sleepers.py": "4 models that sleep",
    "start.py": "the first step starts",
    "stopping.py": "from STEP_FAILURE to the run's failure",
    "postgres.py": "to the last query gone",
    "tricks.py": "the stock event log held open",
    "incremental.py": "merge, dbt's SQL",
    "unit_tests.py": "4 passed in",
    "checks.py": "20 queries",
}
LINUX_ONLY = {
    "memory.py": "warehouse process",
    "python_steps.py": "memory of a step, pandas",
    "streams.py": "in parts",
    "copies.py": "back to PostgreSQL",
}
if sys.platform == "linux":
    PRINTS.update(LINUX_ONLY)
if EXHAUSTIVE:  # half a minute, as each run on a server is a command of its own
    PRINTS["spark.py"] = "2 slots beside a plain client with 2 threads"
#: They take minutes in all. Each run of the suite has those of a day, and the variable all of them.
DAYS = 4
TODAY = datetime.date.today().toordinal() % DAYS
SCRIPTS = [
    script for number, script in enumerate(sorted(PRINTS)) if number % DAYS == TODAY or EXHAUSTIVE
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_runs_in_its_smallest_setting(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / script), "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert PRINTS[script] in done.stdout
