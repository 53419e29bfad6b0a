"""Slots of Dagster's concurrency pools, for the steps of one run."""

from __future__ import annotations

from typing import Any

from dagster import DagsterRun
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from dagster_models._dagster.steps import pool_of, priority
from dagster_models._dagster.types import ExecutionStep, PlanExecutionContext


class StepPools:
    """Claims slots of Dagster's concurrency pools for the steps of one run, and frees them."""

    def __init__(self, context: PlanExecutionContext) -> None:
        self._context = context
        self._pools = InstanceConcurrencyContext(context.instance, context.dagster_run)
        self._pool_of: dict[str, str] = {}  #: step key -> the pool in which it claimed a slot

    def __enter__(self) -> StepPools:
        self._pools.__enter__()
        self._free_slots_of_dead_runs()
        return self

    def _free_slots_of_dead_runs(self) -> None:
        """Free the slots of the runs that this one re-executes, if they are over.

        A run worker that was killed keeps its slots for ever, unless the daemon is configured to
        free them (``run_monitoring: free_slots_after_run_end_seconds``). Its re-execution would
        wait for them, that is, for itself.
        """
        instance = self._context.instance
        run: DagsterRun | None = self._context.dagster_run
        storage = instance.event_log_storage
        holding: set[str] | None = None
        while run is not None and (earlier := run.parent_run_id) is not None:
            if holding is None:
                limited = storage.supports_global_concurrency_limits
                holding = storage.get_concurrency_run_ids() if limited else set()
            run = instance.get_run_by_id(earlier)
            if earlier in holding and run is not None and run.is_finished:
                storage.free_concurrency_slots_for_run(earlier)

    def __exit__(self, *exc_info: Any) -> None:
        self._pools.__exit__(*exc_info)

    def claim(self, step: ExecutionStep) -> bool:
        """Claim a slot for the step; False if there is none yet and the step must ask again."""
        pool = pool_of(step)
        if pool is None:
            return True
        self._pool_of[step.key] = pool
        return bool(self._pools.claim(pool, step.key, priority(step)))

    def free(self, step: ExecutionStep) -> list[str]:
        """Free the step's slot, if it has one.

        Returns the steps of this run that wait for the pool: they may claim at once. Dagster alone
        would answer them only after the 1 to 15 s between two of its own looks
        (``_pending_timeouts``), though the slot was theirs as soon as it was free.
        """
        self._pools.free_step(step.key)
        pool = self._pool_of.get(step.key)
        waiting = [
            key
            for key in self._pools.pending_claim_steps()
            if self._pool_of[key] == pool and key != step.key
        ]
        for key in waiting:
            self._pools._pending_timeouts.pop(key, None)
        return sorted(waiting)
