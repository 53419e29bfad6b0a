"""Run a step in a process of its own, as Dagster's multiprocess executor does."""

from __future__ import annotations

from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.executor.multiprocess import execute_step_out_of_process
from dagster._utils import get_run_crash_explanation

__all__ = [
    "ChildProcessCrashException",
    "execute_step_out_of_process",
    "get_run_crash_explanation",
]
