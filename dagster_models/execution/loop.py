"""The executor's loop: instructions of the plan become work, answers become events.

``Run.events`` is the only place that waits. Each of our steps is driven through Dagster's own
step generator, parked at STEP_START while a worker works and exhausted when the outcome is there,
so that data versions, hooks, check results and retries are Dagster's own.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from dagster_models._dagster import door as d
from dagster_models.compilation.sql_text import relation_sql
from dagster_models.compilation.tasks import (
    TargetStep,
    schemas_by_warehouse,
    task_for,
    warehouse_spec,
)
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Retries
from dagster_models.errors import Canceled, DagsterModelsError, ErrorKind
from dagster_models.execution import attempt_results as handover
from dagster_models.execution import resume
from dagster_models.execution.attempt_results import Attempt
from dagster_models.execution.events import (
    Answered,
    Lost,
    NotStarted,
    Output,
    Previous,
    Settled,
    Spoke,
)
from dagster_models.execution.foreign import ForeignSteps
from dagster_models.execution.history import step_seconds_or_none
from dagster_models.execution.lookup import can_be_read
from dagster_models.execution.options import Options, requirements_of, retry_policy
from dagster_models.execution.running_step import Flight
from dagster_models.execution.step_functions import target_step_of
from dagster_models.execution.timers import Due, Timers
from dagster_models.execution.wait_notifier import WaitTeller
from dagster_models.execution.worker_pool import WorkerPool
from dagster_models.reporting.explain_text import metadata, summary
from dagster_models.reporting.reporter import (
    Reporter,
    RunLimits,
    failed_to_start,
    lost_outcome,
    why,
)
from dagster_models.scheduling.plan import Plan
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
_POOL_POLL_SECONDS = 1.0  # Dagster itself asks a concurrency pool no more often


class Kind(Enum):
    """Instructions that can be carried out together."""

    START = auto()
    END = auto()  #: of an attempt
    SKIP = auto()  #: of a step that has no attempt under way
    OTHER = auto()


class Run:
    """One run under models_executor."""

    def __init__(
        self,
        executor: d.Executor,
        plan_context: d.PlanOrchestrationContext,
        job_context: d.PlanExecutionContext,
        execution_plan: d.ExecutionPlan,
        options: Options,
        warnings: Sequence[str] = (),
    ) -> None:
        self._warnings = warnings
        self._job, self._execution_plan, self._options = job_context, execution_plan, options
        self._run_id = job_context.run_id
        self._graph = graph = d.executable_steps(execution_plan)
        self._steps = {key: execution_plan.get_executable_step_by_key(key) for key in graph}
        run = job_context.dagster_run
        target = options.target_of(run.tags, run.run_config)
        self._bindings: dict[str, TargetStep] = {}
        for key, step in self._steps.items():
            binding = target_step_of(job_context.job_def, step)
            if binding is not None:
                self._bindings[key] = binding.on(target)
        self._slots = options.slots(self._bindings)
        seconds, no_history = step_seconds_or_none(job_context.instance, job_context.job_name)
        needs, limits = requirements_of(
            graph,
            {key: d.traits(step) for key, step in self._steps.items()},
            self._bindings,
            options.tag_concurrency_limits,
            retrying=not executor.retries.disabled,
            seconds=seconds,
        )
        self.plan = Plan(
            graph,
            needs,
            max_concurrent=self._slots,
            fail_fast=options.fail_fast_of(self._bindings, run.tags),
            limits=limits,
        )
        self._pool = WorkerPool()
        self._foreign = ForeignSteps(plan_context, executor, execution_plan, self._tell)
        names = {k: b.name if (b := self._bindings.get(k)) else k for k in graph}
        self._reporter = Reporter(
            self._run_id, names, self._bindings, RunLimits(self._slots, limits, graph)
        )
        if no_history:
            self._reporter.note(f"Past durations could not be read: {no_history}")
        self._flights: dict[str, Flight] = {}
        self._last: dict[str, Outcome] = {}  # of steps that wait for another attempt
        self._asked: dict[str, int] = {}  #: how often a step has asked its pool for a slot
        self._happened: deque[Any] = deque()
        self._todo: deque[Event] = deque()
        # What the plan has asked for is done one by one, and what was not is still here if the run
        # breaks: the plan has moved on as if it were done.
        self._undone: deque[Instruction] = deque()
        self._timers = Timers()
        self._teller = WaitTeller(job_context, self._steps, limits, self._reporter, self._timers)
        self._interrupts = 0
        self._disagrees = False  #: of what is committed, Dagster's event log says that it failed

    # -- the loop ------------------------------------------------------------------------------

    def events(self) -> Iterator[d.DagsterEvent]:
        """All DagsterEvents of the run's steps.

        Raises:
            DagsterExecutionInterruptedError: the run was stopped by a signal or by Terminate.
        """
        with contextlib.closing(self._pool), d.StepPools(self._job) as pools:
            self._pools = pools
            with d.waking_on_signals(self._pool.wake):
                try:
                    yield from self._open()
                    yield from self._resume()
                    while self._todo:  # asked to stop before anything was started
                        yield from self._carry_out(self.plan.handle(self._todo.popleft()))
                    # What has a flight by now was found, and is only to be reported.
                    yield from self._carry_out(self.plan.begin(tuple(self._flights)))
                    yield from self._until_complete()
                except BaseException as error:
                    # Nobody listens any more, but what is in flight must be stopped and told.
                    self._reporter.broke(error)
                    self._wind_down()
                    self._close("failure")
                    raise
        self._close(self._status())
        told = self._reporter.explanation()
        if told is not None:
            yield d.engine_event(self._job, summary(told), metadata(told))
        if self._interrupts:
            raise d.interrupted("The run was asked to stop.")
        # One that came after the last step has ended would make Dagster fail a run that is done.
        d.pop_captured_interrupt()

    def _wind_down(self) -> None:
        """Stop what is in flight and tell what became of it; bounded, as something is broken."""
        self._undone = deque(it for it in self._undone if not isinstance(it, Start))
        self._todo.append(Event(None, Cause.STOPPING))
        deadline = time.monotonic() + self._options.cancel_grace_seconds + _WIND_DOWN_SECONDS
        self._timers.add(deadline - time.monotonic(), Due("kill", "", 0))  # ends the last wait
        while self._told_in_vain(self._rest(), deadline):
            pass  # go on with the next one: what is told was taken out of what is to be done
        for step, flight in list(self._flights.items()):
            # Dropped, a generator would tell Dagster of a GeneratorExit.
            if flight.events is not None:
                told = "the run broke before it answered; its commit record tells what became of it"
                name = self._bindings[step].name
                lost = lost_outcome(name, flight.attempt, told, flight.started_at)
                ends = [(flight, Attempt(lost, State.FAILED, told))]
                self._told_in_vain(self._finish(ends), deadline)

    def _rest(self) -> Iterator[d.DagsterEvent]:
        while self._happened:
            yield from self._on(self._happened.popleft())
        yield from self._carry_out(())
        yield from self._until_complete()

    def _told_in_vain(self, events: Iterator[d.DagsterEvent], deadline: float) -> bool:
        """Whether telling Dagster raised before the deadline. What broke the run may break this,
        too (a disk that is full), and must not keep the next step from being told of."""
        try:
            for _ in events:
                if time.monotonic() > deadline:
                    break
        except BaseException as error:
            self._reporter.note(f"It could not be told to Dagster: {type(error).__name__}: {error}")
            return time.monotonic() <= deadline
        return False

    def _open(self) -> Iterator[d.DagsterEvent]:
        self._reporter.begun(self._slots)
        for told in self._warnings:
            self._reporter.note(f"WARNING: {told}")
            yield d.engine_event(self._job, told)
        in_sql = [key for key, b in self._bindings.items() if not b.is_python]
        self._log = d.StepLog(self._job, in_sql)
        if in_sql:
            yield from self._log.open()
            self._reporter.tee = lambda text: self._log.write("stdout", text)
        wanted = schemas_by_warehouse(self._bindings)

        def prepare() -> None:
            for spec, schemas in wanted:
                self._pool.prepare(spec, schemas)

        self._pool.while_listening(prepare, "prepare", self._asked_to_stop)

    def _asked_to_stop(self) -> bool:
        self._notice_interrupt()
        return self._interrupts > 0

    def _resume(self) -> Iterator[d.DagsterEvent]:
        """Give a flight to each step that the runs before this one have committed."""
        earlier = d.resumed_runs(self._job)
        if not earlier or self._interrupts:
            return

        def find() -> list[resume.Found]:
            return list(resume.find(self._graph, self._bindings, earlier, self._run_id))

        for found in self._pool.while_listening(find, "resume", self._asked_to_stop) or ():
            flight = self._take_off(found.step, attempt=1)
            flight.task, flight.outcome = found.task, found.outcome
            flight.committed_in = found.commit.run_id
            assert flight.start_event is not None
            yield flight.start_event

    def _close(self, status: str) -> None:
        self._reporter.ended(status)
        self._log.close()

    def _status(self) -> str:
        if self._reporter.succeeded and not self._interrupts and not self._disagrees:
            return "success"
        # As Dagster calls it, also when Terminate came too late to stop anything.
        return "canceled" if d.stop_requested_by_user(self._job) else "failure"

    def _until_complete(self) -> Iterator[d.DagsterEvent]:
        while not self.plan.is_complete:
            self._notice_interrupt()
            if self._todo:
                events, self._todo = self._todo, deque()
                yield from self._carry_out(self.plan.handle_all(events))
                continue
            self._happened += self._pool.wait(self._timers.seconds_left())
            while self._happened:
                yield from self._on(self._happened.popleft())
            for due in self._timers.due():
                yield from self._on_time(due)

    def _notice_interrupt(self) -> None:
        if d.pop_captured_interrupt():
            self._interrupted()

    def _interrupted(self) -> None:
        if self.plan.is_complete:
            return  # too late: all that is left is to tell
        self._interrupts += 1
        if self._interrupts == 1:
            self._reporter.note("Stopping: nothing more is started, what is in flight is canceled")
            self._todo.append(Event(None, Cause.STOPPING))
        else:  # asked twice: no more patience
            for step in self._flights:
                self._kill(step)

    # -- instructions --------------------------------------------------------------------------

    def _carry_out(self, instructions: Sequence[Instruction]) -> Iterator[d.DagsterEvent]:
        """Alike ones that follow each other are stored in one commit: a wait for the disk is a
        fifth of what a small step takes, and thousands are told of when a large run is stopped."""
        self._undone += instructions
        while self._undone:
            alike = self._kind(self._undone[0])
            if alike is Kind.START:
                yield from self._start_all(self._next(alike))
            elif alike is Kind.END:
                yield from self._report_all(self._next(alike))
            elif alike is Kind.SKIP:
                with d.one_commit(self._job):
                    skips = [event for it in self._next(alike) for event in self._carry_out_one(it)]
                yield from skips
            else:
                yield from self._carry_out_one(self._undone.popleft())

    def _next(self, kind: Kind) -> Iterator[Any]:
        """The next instructions, as long as they are of one kind, which are then in hand."""
        while self._undone and self._kind(self._undone[0]) is kind:
            yield self._undone.popleft()

    def _kind(self, instruction: Instruction) -> Kind:
        if isinstance(instruction, Start):
            return Kind.START if instruction.step in self._bindings else Kind.OTHER
        if isinstance(instruction, Report):
            flight = self._flights.get(instruction.step)
            if flight is None:
                return Kind.SKIP
            return Kind.END if flight.events is not None else Kind.OTHER
        return Kind.OTHER

    def _carry_out_one(self, instruction: Instruction) -> Iterator[d.DagsterEvent]:
        step = instruction.step
        if isinstance(instruction, Start):
            yield from self._start_foreign(step, instruction.attempt)
        elif isinstance(instruction, Claim):
            self._claim(step)
        elif isinstance(instruction, ReportWait):
            self._teller.wait(step, instruction.reason)
        elif isinstance(instruction, Cancel):
            self._cancel(step)
        elif isinstance(instruction, AskWarehouse):
            self._ask_warehouse(step)
        elif isinstance(instruction, AskPrevious):
            self._ask_previous(step)
        elif isinstance(instruction, Retry):
            yield from self._report_retry(instruction)
        else:
            yield from self._report(instruction)

    def _take_off(self, step: str, attempt: int) -> Flight:
        """Start the step for Dagster, and park it there."""
        self._teller.waits.turn(step, None)
        known = d.known_state(self._execution_plan, {step: attempt - 1})
        context = self._job.for_step(self._steps[step], known)
        flight = Flight(context, attempt, time.time())
        flight.start_event, flight.events = d.park(context)
        self._flights[step] = flight
        return flight

    def _start_all(self, starts: Iterable[Start]) -> Iterator[d.DagsterEvent]:
        with d.one_commit(self._job):  # told before it is done
            flights = {it.step: self._take_off(it.step, it.attempt) for it in starts}
        for step, flight in flights.items():
            assert flight.start_event is not None
            yield flight.start_event
            if flight.start_event.is_step_failure:  # that it starts could not be stored
                error = DagsterModelsError(d.error_message(flight.start_event))
                self._not_handed_over(step, flight, error, final=True)
            else:
                yield from self._hand_over(step, flight)

    def _hand_over(self, step: str, flight: Flight) -> Iterator[d.DagsterEvent]:
        """Give the step to a worker."""
        binding, attempt = self._bindings[step], flight.attempt
        try:
            flight.task = task = task_for(binding, self._run_id, attempt, self._previous(step))
            if binding.is_python:
                flight.log = d.StepLog(self._job, [step])
                yield from flight.log.open()
            self._reporter.started(step, task.sql, time.time() - flight.started_at)
            self._pool.start(step, task, warehouse_spec(binding.project, binding.target))
        except Exception as error:  # whatever it is, the step must end
            self._not_handed_over(step, flight, error)
            return
        if binding.step.config.timeout_seconds is not None:
            self._timers.add(binding.step.config.timeout_seconds, Due("timeout", step, attempt))

    def _not_handed_over(
        self, step: str, flight: Flight, error: Exception, final: bool = False
    ) -> None:
        name = self._bindings[step].name
        flight.outcome = failed_to_start(name, flight.attempt, error, flight.started_at)
        self._todo.append(Event(step, Cause.ROLLED_BACK, final=final))

    def _previous(self, step: str) -> tuple[str, ...]:
        """The names of its upstreams that failed, and whose previous versions it reads."""
        return tuple(self._bindings[key].name for key in self.plan.built_on_previous(step))

    def _start_foreign(self, step: str, attempt: int) -> Iterator[d.DagsterEvent]:
        self._teller.waits.turn(step, None)
        flight = Flight(self._job.for_step(self._steps[step]), attempt, time.time())
        self._reporter.started(step, "")
        yield from self._foreign.start(self._steps[step], attempt)
        self._flights[step] = flight

    def _tell(self, step: str, attempt: int, said: Any) -> None:
        self._pool.call_soon(lambda: [Spoke(step, attempt, said)])

    def _claim(self, step: str) -> None:
        if self.plan.state(step) is not State.READY:
            return  # given up meanwhile
        asked = self._asked[step] = self._asked.get(step, 0) + 1
        if self._pools.claim(self._steps[step]):
            self._todo.append(Event(step, Cause.CLAIMED))
            return
        self._todo.append(Event(step, Cause.BLOCKED))
        self._timers.add(_POOL_POLL_SECONDS, Due("claim", step, asked))

    def _free(self, step: str) -> None:
        """Give its slot in its pool to the next step, which need not wait until it asks again."""
        for waiting in self._pools.free(self._steps[step]):
            self._timers.add(0.0, Due("claim", waiting, self._asked[waiting]))

    def _cancel(self, step: str) -> None:
        flight = self._flights.get(step)
        if flight is None or (flight.events is not None and not (flight.task or flight.outcome)):
            # The run broke before anybody had it, and nobody will answer.
            self._todo.append(Event(step, Cause.CANCELED))
            if flight is not None:
                error = Canceled(ErrorKind.CANCELED, "stopped before a worker had it")
                name = self._bindings[step].name
                flight.outcome = failed_to_start(name, flight.attempt, error, flight.started_at)
            return
        (self._pool if flight.events is not None else self._foreign).cancel(step)
        self._timers.add(self._options.cancel_grace_seconds, Due("kill", step, flight.attempt))

    def _kill(self, step: str) -> None:
        flight = self._flights[step]
        flight.killed = True
        (self._pool if flight.events is not None else self._foreign).kill(step)

    def _ask_warehouse(self, step: str) -> None:
        flight = self._flights[step]
        if flight.task is None or flight.lost is None or flight.task.kind == "script":
            # It publishes nothing of its own: gone is gone.
            self._pool.call_soon(lambda: [Settled(step, committed=False)])
        else:
            binding = self._bindings[step]
            spec = warehouse_spec(binding.project, binding.target)
            self._pool.settle(flight.lost, flight.task, spec)

    def _ask_previous(self, step: str) -> None:
        binding = self._bindings[step]
        if binding.relation is None:  # a script: it serves nobody with a relation
            self._todo.append(Event(step, Cause.HAS_PREVIOUS))
            return
        sql = relation_sql(binding.project, binding.step.key, binding.target)
        spec = warehouse_spec(binding.project, binding.target)

        def ask() -> Previous:
            return Previous(step, *can_be_read(spec, sql))

        self._pool.call_in_thread(ask, f"previous-{step}")

    def _report_retry(self, retry: Retry) -> Iterator[d.DagsterEvent]:
        flight = self._flights.pop(retry.step)
        binding = self._bindings.get(retry.step)
        policy = retry_policy(binding.step.config.retries if binding else Retries())
        delay = float(policy.calculate_delay(retry.attempt))
        if flight.events is not None and flight.outcome is not None:
            self._last[retry.step] = flight.outcome
            message = why(binding, flight.outcome)
            self._reporter.retrying(retry.step, retry.attempt, flight.outcome, message, delay)
            attempt = Attempt(flight.outcome, State.READY, message, delay_seconds=delay)
            yield from self._finish([(flight, attempt)])
        elif flight.retry_after_seconds:
            delay = flight.retry_after_seconds
        self._free(retry.step)
        self._timers.add(delay, Due("delay", retry.step, retry.attempt))

    def _report_all(self, reports: Iterable[Report]) -> Iterator[d.DagsterEvent]:
        """Of attempts that are parked."""
        ends: list[tuple[Flight, Attempt]] = []
        for report in reports:
            flight = self._flights.pop(report.step)
            message = self._over(report, flight)
            assert flight.outcome is not None
            attempt = Attempt(
                flight.outcome,
                report.state,
                message,
                sql=flight.task.sql if flight.task else "",
                committed_in=flight.committed_in,
                built_on_previous=self._previous(report.step),
            )
            ends.append((flight, attempt))
        try:
            for flight, _ in ends:
                self._free(flight.context.step.key)
        finally:  # a generator that is dropped would tell Dagster of a GeneratorExit
            yield from self._finish(ends)

    def _report(self, report: Report) -> Iterator[d.DagsterEvent]:
        """Of a foreign step, or of one that has no attempt under way."""
        step = report.step
        flight = self._flights.pop(step, None)
        message = self._over(report, flight)
        if flight is not None:
            self._free(step)
        else:
            context = self._job.for_step(self._steps[step])
            if report.state is State.FAILED:  # it was waiting for another attempt
                yield d.failure_event(context, message)
            elif report.state is State.CANCELED:  # the run broke before it was started
                yield d.engine_event(context, message)
            else:
                yield d.engine_event(context, f"Skipped: {message}")

    def _over(self, report: Report, flight: Flight | None) -> str:
        """The step has come to its end: what the terminal and the journal say of it."""
        step = report.step
        outcome = flight.outcome if flight else self._last.get(step)
        waited = self._teller.waits.end(step)
        previous = self.plan.built_on_previous(step) if report.state is not State.SKIPPED else ()
        attempts = self.plan.attempt(step)
        earlier = flight.committed_in if flight else ""
        return self._reporter.finished(report, attempts, outcome, waited, previous, earlier)

    def _finish(self, ends: Sequence[tuple[Flight, Attempt]]) -> Iterator[d.DagsterEvent]:
        """Exhaust the parked generators with what became of the attempts."""
        parked: list[d.Parked] = []
        for flight, attempt in ends:
            assert flight.events is not None
            if flight.log is not None:
                flight.log.close()
            handover.give(self._run_id, flight.context.step.key, attempt)
            seconds = time.time() - flight.started_at
            parked.append(d.Parked(flight.context, flight.events, seconds))
        for (flight, attempt), events in zip(ends, d.exhaust(parked), strict=True):
            if attempt.state is State.SUCCEEDED and any(event.is_step_failure for event in events):
                step = flight.context.step.key
                self._reporter.note(f"WARNING: {step} is committed, and Dagster could not store it")
                self._disagrees = True
            # What Dagster gets here it names as a cause of the run's failure. A step that we
            # stopped is none; its event is in the log all the same.
            for event in events:
                if not (event.is_step_failure and attempt.state is State.CANCELED):
                    yield event
            yield from self._call_hooks(flight, events)

    def _call_hooks(
        self, flight: Flight, events: Sequence[d.DagsterEvent]
    ) -> Iterator[d.DagsterEvent]:
        """Of the user's own. Around them a signal raises, also one that has come before."""
        assert flight.start_event is not None
        self._notice_interrupt()
        try:
            yield from d.trigger_hooks(flight.context, [flight.start_event, *events])
        except d.DagsterExecutionInterruptedError:
            self._interrupted()
            yield d.engine_event(flight.context, "Its hooks were interrupted by a signal")

    # -- happenings ----------------------------------------------------------------------------

    def _on(self, happening: Any) -> Iterator[d.DagsterEvent]:
        step = happening.step
        if isinstance(happening, Previous):
            if happening.error:
                self._reporter.note(f"{self._bindings[step].name}: {happening.error}")
            self._todo.append(
                Event(step, Cause.HAS_PREVIOUS if happening.kept else Cause.NO_PREVIOUS)
            )
            return
        flight = self._flights.get(step)
        if flight is None:
            return  # a late word of a worker that was given up
        if isinstance(happening, Output):
            self._reporter.output(step, happening.stream, happening.text)
            if flight.log is not None:
                flight.log.write(happening.stream, happening.text)
        elif isinstance(happening, Answered):
            flight.outcome = happening.outcome
            error = happening.outcome.error
            cause = self._cause_of(step, happening.outcome)
            self._todo.append(Event(step, cause, final=error is not None and error.final))
        elif isinstance(happening, NotStarted):
            name = self._bindings[step].name
            flight.outcome = failed_to_start(
                name, flight.attempt, happening.error, flight.started_at
            )
            self._todo.append(Event(step, self._cause_of(step, flight.outcome)))
        elif isinstance(happening, Lost):
            flight.lost = happening
            flight.killed = flight.killed or happening.killed
            name, told = self._bindings[step].name, happening.message
            if flight.killed:  # by us: its end is no riddle
                grace = self._options.cancel_grace_seconds
                told = f"it did not stop within {grace:g} s of being asked to, and was killed"
            flight.outcome = lost_outcome(name, flight.attempt, told, flight.started_at)
            self._todo.append(Event(step, Cause.WORKER_LOST))
        elif isinstance(happening, Settled):
            self._settled(happening, flight)
        elif happening.attempt == flight.attempt:  # a process outlives its last event a little
            canceling = self.plan.state(step) is State.CANCELING
            events, event = self._foreign.heard(
                self._steps[step], flight, happening.said, canceling
            )
            yield from events
            if event is not None:
                self._todo.append(event)

    def _cause_of(self, step: str, outcome: Outcome) -> Cause:
        if outcome.verdict is Verdict.COMMITTED:
            return Cause.COMMITTED
        asked = self.plan.state(step) is State.CANCELING
        return (
            Cause.CANCELED if outcome.verdict is Verdict.CANCELED and asked else Cause.ROLLED_BACK
        )

    def _settled(self, settled: Settled, flight: Flight) -> None:
        assert flight.outcome is not None
        step, outcome = settled.step, flight.outcome
        if settled.committed:
            flight.outcome = replace(outcome, verdict=Verdict.COMMITTED, error=None)
            self._todo.append(Event(step, Cause.COMMITTED))
            return
        if settled.error and outcome.error is not None:
            told = f"{outcome.error.message}; {settled.error}"
            flight.outcome = replace(outcome, error=replace(outcome.error, message=told))
        # Killed by us because it did not stop in time: that is a cancel, not an error of its own.
        # Where nobody can tell whether it was committed, a cancel would claim that it was not, and
        # another attempt would be a gamble.
        unknown = bool(settled.error)
        cause = Cause.CANCELED if flight.killed and not unknown else Cause.ROLLED_BACK
        self._todo.append(Event(step, cause, final=unknown))

    def _on_time(self, due: Due) -> Iterator[d.DagsterEvent]:
        step = due.step
        flight = self._flights.get(step)
        if due.kind == "tell":
            yield from self._teller.due()
        elif due.kind == "claim":
            if self._asked[step] == due.attempt:  # else it has asked since, and may have its place
                self._claim(step)
        elif due.kind == "delay":
            self._todo.append(Event(step, Cause.DELAY_OVER))
        elif flight is None or flight.attempt != due.attempt:
            return  # of an attempt that is over
        elif due.kind == "timeout":
            self._todo.append(Event(step, Cause.TIMEOUT))
        elif self.plan.state(step) is State.CANCELING:
            self._kill(step)
