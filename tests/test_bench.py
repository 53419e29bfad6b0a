"""The benchmarks still run: each in its smallest setting. Their figures are not looked at here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parent / "bench"


def quick(script: str, *arguments: str) -> str:
    """What a benchmark prints in its smallest setting."""
    command = [sys.executable, str(BENCH / script), "--quick", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_our_order_is_near_the_bound_and_never_behind_dbt() -> None:
    """Simulated, so its figures are the same on every machine: exit code 1 if a goal is missed."""
    assert "goal met: with known durations" in quick("schedule.py")
