"""The executor's loop: instructions of the plan become work, worker events become plan events.

    Plan ── instructions ──> Run ── start, cancel, kill ──> OwnSteps, ForeignSteps ──> StepRunners
      ^                       │                                   │                         │
      └─── events (todo) ─────┴───────────────────────────────────┴──── EventQueue.wait() <─┘

``Run.events`` yields the DagsterEvents. It waits in one place only: ``EventQueue.wait``.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dagster import DagsterEvent, Executor

from dagster_models._dagster import runs
from dagster_models._dagster.event_log import one_commit
from dagster_models._dagster.events import engine_event
from dagster_models._dagster.logs import StepLog
from dagster_models._dagster.signals import interrupted, pop_captured_interrupt, waking_on_signals
from dagster_models._dagster.types import (
    ExecutionPlan,
    PlanExecutionContext,
    PlanOrchestrationContext,
)
from dagster_models.compilation.tasks import exports_by_warehouse, schemas_by_warehouse
from dagster_models.core.model import EMPTY, Project
from dagster_models.execution import resume, unchanged
from dagster_models.execution.deferral import report_deferral
from dagster_models.execution.explanation_event import explanation_event
from dagster_models.execution.foreign_steps import ForeignSteps
from dagster_models.execution.late_checks import LateChecks
from dagster_models.execution.options import RAN_ON_TAG, Options
from dagster_models.execution.own_steps import OwnSteps
from dagster_models.execution.results_store import store_results, will_be_stored
from dagster_models.execution.run_context import run_context
from dagster_models.execution.runners.events import WorkerEvent
from dagster_models.execution.timers import Due
from dagster_models.execution.unstarted import report_unstarted
from dagster_models.processes.client.leave import leave_all
from dagster_models.reporting.wording import counted
from dagster_models.scheduling.states import (
    AskPrevious,
    AskWarehouse,
    Cancel,
    Cause,
    Claim,
    Event,
    Instruction,
    Report,
    ReportWait,
    Retry,
    Start,
    State,
)

_WIND_DOWN_SECONDS = 5.0


class Run:
    """One run under models_executor. ``warnings`` are shown before its first step; ``projects`` are
    those that the run gives variables to."""

    def __init__(
        self,
        executor: Executor,
        plan_context: PlanOrchestrationContext,
        job_context: PlanExecutionContext,
        execution_plan: ExecutionPlan,
        options: Options,
        warnings: Sequence[str] = (),
        projects: Mapping[str, Project] = EMPTY,
    ) -> None:
        self._run = run = run_context(executor, job_context, execution_plan, options, projects)
        self._plan, self._todo, self._reporter = run.plan, run.todo, run.reporter
        self._job, self._queue, self._warnings = job_context, run.runners.queue, warnings
        self._taken_over = runs.is_taken_over(plan_context)
        self._own = OwnSteps(run, self._on_interrupt, self._asked_to_stop)
        self._foreign = ForeignSteps(run, plan_context, executor)
        self._late = LateChecks(run)
        # What is still to be carried out or read. It is kept here in case the run breaks: the plan
        # counts an instruction as done once it has returned it, and the queue an event likewise.
        self._undone: deque[Instruction] = deque()
        self._unread: deque[WorkerEvent] = deque()
        self._interrupts = 0

    # -- the loop ------------------------------------------------------------------------------

    def events(self) -> Iterator[DagsterEvent]:
        """All DagsterEvents of the run's steps.

        Raises:
            DagsterExecutionInterruptedError: the run was stopped by a signal or by Terminate.
            DagsterModelsError: all models are published, and a check failed that ran after them.
        """
        with (
            contextlib.closing(self._run.runners),
            self._run.pools,
            waking_on_signals(self._queue.wake),
        ):
            try:
                yield from self._open()
                committed = self._committed()
                self._leave_alone(committed)
                for found in committed if not self._interrupts else ():
                    yield from self._own.adopt(found)
                while self._todo:  # asked to stop before anything was started
                    yield from self._carry_out(self._plan.handle(self._todo.popleft()))
                # Steps in `running` at this point were committed by an earlier run, and only have
                # to be reported.
                running, left_alone = tuple(self._own.running), tuple(self._run.decision.unchanged)
                yield from self._carry_out(self._plan.begin(running, left_alone))
                yield from self._until_complete()
                yield from self._late.events(self._count_interrupts)
            except BaseException as error:
                # Dagster no longer takes our events, but steps in flight must still be stopped, and
                # their ends reported.
                self._reporter.broke(error)
                self._wind_down()
                self._close("failure")
                raise
        leave_all()  # with the run's end, its database files are free for the next program
        self._close(self._status())
        explanation, header = self._reporter.explanation(), self._reporter.header
        if explanation is not None and header is not None:
            yield explanation_event(self._job, explanation, header)
        if self._interrupts:
            raise interrupted("The run was asked to stop.")
        self._late.raise_if_any_failed()
        # Drop a signal that came after the last step ended: it would make Dagster fail the run.
        pop_captured_interrupt()

    def _open(self) -> Iterator[DagsterEvent]:
        self._reporter.begun(self._run.slots)
        for files in self._reporter.files:
            will_be_stored(files.folder, self._job.run_id)
        targets = sorted({it.target.name for it in self._run.target_steps.values()})
        if targets:
            runs.add_tags(self._job, {RAN_ON_TAG: ", ".join(targets)})
        for warning in self._warnings:
            self._reporter.note(f"WARNING: {warning}")
            yield engine_event(self._job, warning)
        yield from report_deferral(self._run.deferral, self._reporter, self._job)
        in_sql = [key for key, it in self._run.target_steps.items() if not it.is_python]
        self._log = StepLog(self._job, in_sql)
        if in_sql:
            yield from self._log.open()
            self._reporter.tee = lambda text: self._log.write("stdout", text)
        wanted = schemas_by_warehouse(self._run.target_steps)
        exports = exports_by_warehouse(self._run.target_steps)
        sessions = self._run.first_sessions() if self._starts_them_all() else Counter()

        def prepare() -> None:
            for address, schemas in wanted.items():
                of_it = exports.get(address, ())
                self._run.runners.sql.prepare(address, schemas, of_it, sessions[address])
            self._run.known.ask(self._run.target_steps)

        self._queue.while_listening(prepare, "prepare", self._asked_to_stop)

    def _committed(self) -> list[resume.FoundCommit]:
        """The steps that were committed by a run which this one re-executes, or by the process from
        which this one has taken it over. What these have built of others is left out of them."""
        earlier = self._earlier_runs()
        if not earlier or self._interrupts:
            return []

        def find() -> list[resume.FoundCommit | resume.FoundPartitions]:
            run = self._run
            return list(resume.find(run.graph, run.target_steps, earlier, run.run_id))

        committed = []
        for found in self._queue.while_listening(find, "resume", self._asked_to_stop) or ():
            if isinstance(found, resume.FoundPartitions):
                self._own.note_built(found.step, found.keys)
            else:
                committed.append(found)
        return committed

    def _earlier_runs(self) -> list[str]:
        """The ids of the runs that this one goes on from, the last one first."""
        earlier = runs.resumed_runs(self._job)
        return [self._run.run_id, *earlier] if self._taken_over else earlier

    def _starts_them_all(self) -> bool:
        """Whether the run starts each of its steps: it goes on from no other run, and leaves no
        step alone because nothing has changed."""
        only_changed = self._run.options.only_changed_of(self._job.dagster_run.tags)
        return not only_changed and not self._earlier_runs()

    def _leave_alone(self, committed: Sequence[resume.FoundCommit]) -> None:
        """Find the steps that ``only_changed`` leaves alone, besides those that are committed."""
        run = self._run
        if self._interrupts or not run.options.only_changed_of(self._job.dagster_run.tags):
            return
        for it in committed:
            run.known.found(run.target_steps[it.step], it.commit)

        def decide() -> unchanged.Decision:
            found = {it.step for it in committed}
            return unchanged.decide(run.graph, run.target_steps, run.known, found, run.run_id)

        decision = self._queue.while_listening(decide, "only-changed", self._asked_to_stop)
        if decision is not None:
            run.decision.unchanged.update(decision.unchanged)
            run.decision.because.update(decision.because)
            of_all = f"{len(decision.unchanged)} of {counted(len(run.target_steps), 'step')}"
            self._reporter.note(f"Only what has changed: {of_all} left alone")

    def _until_complete(self) -> Iterator[DagsterEvent]:
        while not self._plan.is_complete:
            self._notice_interrupt()
            if self._todo:
                events = tuple(self._todo)
                self._todo.clear()
                yield from self._carry_out(self._plan.handle_all(events))
                continue
            self._unread += self._queue.wait(self._run.timers.seconds_left())
            yield from self._read()
            for due in self._run.timers.due():
                yield from self._on_time(due)

    def _read(self) -> Iterator[DagsterEvent]:
        """Turn worker events into events for the plan."""
        while self._unread:
            event = self._unread.popleft()
            if event.step in self._run.target_steps:
                self._own.on(event)
            else:
                yield from self._foreign.on(event)

    def _close(self, status: str) -> None:
        self._reporter.ended(status)
        for files in self._reporter.files:
            store_results(files.folder, files.root, self._job.run_id, self._reporter.note)
        self._log.close()

    def _status(self) -> str:
        if self._reporter.succeeded and not self._interrupts and not self._own.disagrees:
            return "success"
        # Dagster says "canceled" even if Terminate came too late to stop anything.
        return "canceled" if runs.stop_requested_by_user(self._job) else "failure"

    # -- signals -------------------------------------------------------------------------------

    def _count_interrupts(self) -> int:
        self._notice_interrupt()
        return self._interrupts

    def _asked_to_stop(self) -> bool:
        return self._count_interrupts() > 0

    def _notice_interrupt(self) -> None:
        if pop_captured_interrupt():
            self._on_interrupt()

    def _on_interrupt(self) -> None:
        if self._plan.is_complete and not self._late.going_on:
            return  # too late: only reports are left
        self._interrupts += 1
        if self._interrupts == 1:
            runs.cancel_if_attended(self._job)
            self._reporter.note("Stopping: starting no more steps, and canceling those in flight")
            self._todo.append(Event(None, Cause.STOPPING))
        else:  # the second request: kill at once
            for steps in (self._own, self._foreign):
                for step in steps.running:
                    steps.kill(step)

    # -- a run that breaks ---------------------------------------------------------------------

    def _wind_down(self) -> None:
        """Stop what is in flight and report what became of it. The time for it is limited,
        because something is broken."""
        self._undone = deque(it for it in self._undone if not isinstance(it, Start))
        self._todo.append(Event(None, Cause.STOPPING))
        deadline = time.monotonic() + self._run.options.cancel_grace_seconds + _WIND_DOWN_SECONDS
        self._run.timers.add(deadline - time.monotonic(), Due("kill", "", 0))  # ends the last wait
        while self._reported_in_vain(self._rest(), deadline):
            pass  # go on with the next one: the one that failed was already taken off the queues
        for step in tuple(self._own.running):
            # A generator that is dropped would report a GeneratorExit to Dagster.
            self._reported_in_vain(self._own.abandon(step), deadline)

    def _rest(self) -> Iterator[DagsterEvent]:
        yield from self._read()
        yield from self._carry_out(())
        yield from self._until_complete()

    def _reported_in_vain(self, events: Iterator[DagsterEvent], deadline: float) -> bool:
        """Report these events to Dagster; return whether that raised before the deadline.

        What broke the run (a full disk, say) may break this, too, and must not keep us from
        reporting the next step.
        """
        try:
            for _ in events:
                if time.monotonic() > deadline:
                    break
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
            self._reporter.note(f"Reporting to Dagster failed: {text}")
            return time.monotonic() <= deadline
        return False

    # -- instructions --------------------------------------------------------------------------

    def _carry_out(self, instructions: Sequence[Instruction]) -> Iterator[DagsterEvent]:
        """Carry out instructions, in order.

        Consecutive ones of the same kind are stored in one commit of Dagster's event log: waiting
        for the disk takes a fifth of the time of a small step, and when a large run is stopped,
        thousands of steps are reported.
        """
        self._undone += instructions
        while self._undone:
            it = self._undone[0]
            steps = self._steps_of(it.step)
            if isinstance(it, Start):
                yield from steps.start(self._alike())
            elif not isinstance(it, Report):
                yield from self._carry_out_one(self._undone.popleft())
            elif it.step in steps.running:
                yield from steps.report(self._alike())
            else:
                with one_commit(self._job):
                    events = [
                        event
                        for it in self._alike()
                        for event in report_unstarted(
                            self._run, it, self._own.last_outcomes.get(it.step)
                        )
                    ]
                yield from events

    def _alike(self) -> Iterator[Any]:
        """Take the next instruction, and those of its kind that follow it."""
        kind = self._kind(self._undone[0])
        while self._undone and self._kind(self._undone[0]) == kind:
            yield self._undone.popleft()

    def _kind(self, it: Instruction) -> tuple[object, object]:
        """Equal for instructions that can be carried out together."""
        steps = self._steps_of(it.step)
        unstarted = isinstance(it, Report) and it.step not in steps.running
        return type(it), None if unstarted else steps

    def _steps_of(self, step: str) -> OwnSteps | ForeignSteps:
        return self._own if step in self._run.target_steps else self._foreign

    def _carry_out_one(self, instruction: Instruction) -> Iterator[DagsterEvent]:
        step = instruction.step
        if isinstance(instruction, Claim):
            self._run.pools.claim(step)
        elif isinstance(instruction, ReportWait):
            self._run.notifier.wait(step, instruction.reason)
        elif isinstance(instruction, Cancel):
            self._cancel(step)
        elif isinstance(instruction, AskWarehouse):
            self._own.ask_warehouse(step)
        elif isinstance(instruction, AskPrevious):
            self._own.ask_previous(step)
        elif isinstance(instruction, Retry):
            yield from self._steps_of(step).retry(instruction)

    def _cancel(self, step: str) -> None:
        steps = self._steps_of(step)
        running = steps.running.get(step)
        if running is None:  # the run broke before it was started, so no answer will come
            self._todo.append(Event(step, Cause.CANCELED))
            return
        steps.cancel(step)
        self._run.timers.add(
            self._run.options.cancel_grace_seconds, Due("kill", step, running.attempt)
        )

    # -- timers --------------------------------------------------------------------------------

    def _on_time(self, due: Due) -> Iterator[DagsterEvent]:
        step = due.step
        if due.kind == "waits":
            yield from self._run.notifier.notify()
        elif due.kind == "claim":
            self._run.pools.claim_again(due)
        elif due.kind == "delay":
            self._todo.append(Event(step, Cause.DELAY_OVER))
        else:
            steps = self._steps_of(step)
            running = steps.running.get(step)
            if running is None or running.attempt != due.attempt:
                return  # the timer is for an attempt that is over
            if due.kind == "timeout":
                self._todo.append(Event(step, Cause.TIMEOUT))
            elif self._plan.state(step) is State.CANCELING:
                steps.kill(step)
