"""Our own steps in flight: models, seeds and scripts.

Each step runs through Dagster's own step generator, which is parked at STEP_START while a runner
works, and exhausted when the outcome is known, so that data versions, hooks, check results and
retries are Dagster's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from dagster import DagsterEvent, DagsterExecutionInterruptedError

from dagster_models._dagster.event_log import one_commit
from dagster_models._dagster.events import engine_event, error_message
from dagster_models._dagster.logs import StepLog
from dagster_models._dagster.signals import pop_captured_interrupt
from dagster_models._dagster.step_generator import ParkedStep, exhaust, park, trigger_hooks
from dagster_models._dagster.steps import known_state
from dagster_models.compilation.sql_text import relation_sql
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import sent_sql
from dagster_models.errors import Canceled, DagsterModelsError, ErrorKind
from dagster_models.execution import attempt_results, lookup
from dagster_models.execution.attempt_results import AttemptResult
from dagster_models.execution.options import retry_policy
from dagster_models.execution.outcomes import failed_to_start, lost_outcome, shown
from dagster_models.execution.resume import FoundCommit
from dagster_models.execution.run_context import RunContext
from dagster_models.execution.runners.events import (
    Answered,
    Lost,
    NotStarted,
    Output,
    PreviousVersion,
    Settled,
    WorkerEvent,
)
from dagster_models.execution.running_step import RunningStep
from dagster_models.execution.timers import Due
from dagster_models.scheduling.states import Cause, Event, Report, Retry, Start, State
from dagster_models.util.secrets import without
from dagster_models.util.steady_clock import steady_time

_BROKE = "the run broke before it answered; its commit record shows what became of it"


class OwnSteps:
    """The steps of one run that are ours. ``running``: those in flight, by step key.

    ``on_interrupt`` is called when a signal has come before or during a hook; ``asked_to_stop``
    looks for one, and returns whether the run has been asked to stop.
    """

    def __init__(
        self,
        run: RunContext,
        on_interrupt: Callable[[], None],
        asked_to_stop: Callable[[], bool],
    ) -> None:
        self.running: dict[str, RunningStep] = {}
        self.last_outcomes: dict[str, Outcome] = {}  #: of steps that wait for another attempt
        self.disagrees = False  #: Dagster's event log has a failure for a step that is committed
        self._run, self._on_interrupt, self._asked_to_stop = run, on_interrupt, asked_to_stop
        #: The partitions, by key, that a step need not build again: an earlier attempt of it has.
        self._built: dict[str, tuple[str, ...]] = {}

    # -- starts --------------------------------------------------------------------------------

    def start(self, starts: Iterable[Start]) -> Iterator[DagsterEvent]:
        """Start these steps for Dagster, and hand each one to its runner at once.

        Their starts are stored in one commit, for which no runner waits: it takes as long as a
        small step. If this process is killed before that commit, Dagster counts these steps among
        those that have not run, and a re-execution asks the warehouse for their commit records, as
        it does for all others.
        """
        events: list[DagsterEvent] = []
        with one_commit(self._run.job):
            for it in starts:
                events += self._start(it.step, it.attempt)
        yield from events

    def _start(self, step: str, attempt: int) -> Iterator[DagsterEvent]:
        running = self._park(step, attempt)
        event = running.parked.start_event
        yield event
        if event.is_step_failure:  # its start could not be stored
            error = DagsterModelsError(error_message(event))
            self._not_handed_over(step, running, error, final=True)
        else:
            yield from self._hand_over(step, running)

    def adopt(self, found: FoundCommit) -> Iterator[DagsterEvent]:
        """Treat a step as started, because an earlier run's commit of it still stands."""
        running = self._park(found.step, attempt=1)
        running.task, running.outcome = found.task, found.outcome
        running.committed_in = found.commit.run_id
        self._run.known.found(running.target_step, found.commit)
        yield running.parked.start_event

    def _park(self, step: str, attempt: int) -> RunningStep:
        """Start the step for Dagster, and park it."""
        self._run.waits.turn(step, None)
        known = known_state(self._run.execution_plan, {step: attempt - 1})
        context = self._run.job.for_step(self._run.steps[step], known)
        running = RunningStep(self._run.target_steps[step], attempt, park(context))
        self.running[step] = running
        return running

    def _hand_over(self, step: str, running: RunningStep) -> Iterator[DagsterEvent]:
        """Give the task to the runner that it needs."""
        run, it, attempt = self._run, self._what_is_left(step), running.attempt
        try:
            previous, known = self._previous(step), run.known.of(it)
            task = running.task = task_for(it, run.run_id, attempt, previous, known)
            if it.is_python:
                running.log = StepLog(run.job, [step])
                yield from running.log.open()
            sql = without(sent_sql(task), it.project.secrets)
            run.reporter.started(step, sql, steady_time() - running.parked.started_at)
            runner = run.runners.of(task)
            runner.start(step, task, it.address)
            running.runner = runner
        except Exception as error:  # whatever it is, the step must end
            self._not_handed_over(step, running, error)
            return
        timeout_seconds = it.step.config.timeout_seconds
        if timeout_seconds is not None:
            run.timers.add(timeout_seconds, Due("timeout", step, attempt))

    def note_built(self, step: str, keys: tuple[str, ...]) -> None:
        """Leave these partitions out of what the step builds."""
        self._built[step] = keys

    def _what_is_left(self, step: str) -> TargetStep:
        target_step, keys = self.running[step].target_step, self._built.get(step, ())
        if not keys and not target_step.built:
            return target_step
        left = tuple(it for it in target_step.partitions if it.key not in keys)
        built = tuple(it for it in target_step.partitions if it.key in keys)
        return replace(target_step, partitions=left, built=built)

    def _with_built(self, step: str, outcome: Outcome) -> Outcome:
        """The outcome, with the partitions of earlier attempts."""
        built = self._built.get(step, ())
        partitions = tuple(dict.fromkeys((*built, *outcome.partitions)))
        return replace(outcome, partitions=partitions) if partitions else outcome

    def _not_handed_over(
        self, step: str, running: RunningStep, error: Exception, final: bool = False
    ) -> None:
        outcome = running.outcome = _never_ran(running, error)
        final = final or (outcome.error is not None and outcome.error.final)
        self._run.todo.append(Event(step, Cause.ROLLED_BACK, final=final))

    def _previous(self, step: str) -> tuple[str, ...]:
        """The names of the step's failed upstreams, of which it reads the previous versions."""
        run = self._run
        return tuple(run.target_steps[key].name for key in run.plan.built_on_previous(step))

    # -- in flight -----------------------------------------------------------------------------

    def on(self, event: WorkerEvent) -> None:
        """Turn what a runner or a lookup reports into an event for the plan."""
        if isinstance(event, PreviousVersion):
            self._on_previous(event)
            return
        step = event.step
        running = self.running.get(step)
        if running is None:
            return  # it is late, from a worker that was given up
        if isinstance(event, Output):
            text = without(event.text, running.target_step.project.secrets)
            self._run.reporter.output(step, event.stream, text)
            if running.log is not None:
                running.log.write(event.stream, text)
        elif isinstance(event, Answered):
            self._on_outcome(step, running, event.outcome)
        elif isinstance(event, NotStarted):
            self._on_outcome(step, running, _never_ran(running, event.error))
        elif isinstance(event, Lost):
            self._on_lost(event, running)
        elif isinstance(event, Settled):
            self._on_settled(event, running)

    def _on_outcome(self, step: str, running: RunningStep, outcome: Outcome) -> None:
        outcome = shown(outcome, running.target_step.project.secrets)
        outcome = running.outcome = self._with_built(step, outcome)
        asked = self._run.plan.state(step) is State.CANCELING
        if outcome.verdict is Verdict.CANCELED and not asked:
            # A signal for all processes of a run, as a container's end is, may have ended the
            # statement before this loop has looked for its own.
            asked = self._asked_to_stop()
        for note in outcome.notes:
            self._run.reporter.note(f"{running.target_step.name}: {note}")
        if outcome.succeeded:
            cause = Cause.COMMITTED
        elif outcome.verdict is Verdict.CANCELED and asked:
            cause = Cause.CANCELED
        else:
            cause = Cause.ROLLED_BACK
        final = outcome.error is not None and outcome.error.final
        self._run.todo.append(Event(step, cause, final=final))

    def _on_lost(self, lost: Lost, running: RunningStep) -> None:
        running.lost = lost
        message = lost.message
        if lost.killed:  # by us, so the reason is known
            grace = self._run.options.cancel_grace_seconds
            message = f"it did not stop within {grace:g} s of being asked to, and was killed"
        running.outcome = _lost(running, message)
        self._run.todo.append(Event(lost.step, Cause.WORKER_LOST))

    def _on_settled(self, settled: Settled, running: RunningStep) -> None:
        assert running.outcome is not None
        assert running.lost is not None
        assert running.task is not None
        outcome = lookup.settled_outcome(running.outcome, settled, running.task)
        running.outcome = self._with_built(settled.step, outcome)
        if settled.committed:
            self._run.todo.append(Event(settled.step, Cause.COMMITTED))
            return
        # If we killed it because it did not stop in time, that is a cancel, and no error of its
        # own. If nobody knows whether it was committed, "canceled" would claim that it was not.
        unknown = bool(settled.error)
        canceled = running.lost.killed and not unknown
        cause = Cause.CANCELED if canceled else Cause.ROLLED_BACK
        self._run.todo.append(Event(settled.step, cause, final=unknown))

    def _on_previous(self, previous: PreviousVersion) -> None:
        if previous.error:
            name = self._run.target_steps[previous.step].name
            self._run.reporter.note(f"{name}: {previous.error}")
        cause = Cause.HAS_PREVIOUS if previous.exists else Cause.NO_PREVIOUS
        self._run.todo.append(Event(previous.step, cause))

    def cancel(self, step: str) -> None:
        """Ask the step to stop."""
        running = self.running[step]
        if running.runner is not None:
            running.runner.cancel(step)
        elif running.outcome is None:  # the run broke before a runner had it: nobody will answer
            error = Canceled(ErrorKind.CANCELED, "stopped before a worker had it")
            self._on_outcome(step, running, _never_ran(running, error))

    def kill(self, step: str) -> None:
        """End a step that did not stop in time."""
        runner = self.running[step].runner
        if runner is not None:
            runner.kill(step)

    def ask_warehouse(self, step: str) -> None:
        """Find out whether a lost step was committed."""
        running = self.running[step]
        assert running.lost is not None
        assert running.task is not None
        address = running.target_step.address
        question = partial(lookup.commit_of, running.lost, running.task, address)
        self._run.runners.queue.ask_in_thread(question, f"settle-{step}")

    def ask_previous(self, step: str) -> None:
        """Find out whether the relation that an earlier run built for a failed step can be read."""
        failed = self._run.target_steps[step]
        if failed.relation is None:  # a script has no relation that anybody could read
            self._run.todo.append(Event(step, Cause.HAS_PREVIOUS))
            return
        sql = relation_sql(failed.project, failed.step.key, failed.target)
        question = partial(lookup.relation_exists, step, sql, failed.address)
        self._run.runners.queue.ask_in_thread(question, f"previous-{step}")

    # -- ends ----------------------------------------------------------------------------------

    def retry(self, retry: Retry) -> Iterator[DagsterEvent]:
        """Report an attempt that is followed by another one, and wait for the delay."""
        run, step = self._run, retry.step
        running = self.running.pop(step)
        assert running.outcome is not None
        policy = retry_policy(running.target_step.step.config.retries)
        delay = float(policy.calculate_delay(retry.attempt))
        self.last_outcomes[step] = running.outcome
        self._built[step] = running.outcome.partitions
        failed = run.reporter.retrying(step, retry.attempt, running.outcome, delay)
        result = AttemptResult(
            running.target_step, failed, running.outcome, retry_after_seconds=delay
        )
        yield from self._finish([(running, result)])
        run.pools.free(step)
        run.timers.add(delay, Due("delay", step, retry.attempt))

    def report(self, reports: Iterable[Report]) -> Iterator[DagsterEvent]:
        """Report the ends of running steps."""
        ends: list[tuple[RunningStep, AttemptResult]] = []
        for report in reports:
            running = self.running.pop(report.step)
            assert running.outcome is not None
            result = self._run.report_end(report, running.outcome, running.committed_in)
            sql = sent_sql(running.task, running.outcome.changes) if running.task else ""
            sql = without(sql, running.target_step.project.secrets)
            cause = self._run.asset_of(report.cause)
            ended = AttemptResult(
                running.target_step, result, running.outcome, sql=sql, cause=cause
            )
            ends.append((running, ended))
        try:
            for running, _ in ends:
                self._run.pools.free(running.parked.context.step.key)
        finally:  # a generator that is dropped would report a GeneratorExit to Dagster
            yield from self._finish(ends)

    def abandon(self, step: str) -> Iterator[DagsterEvent]:
        """Report a step that is still running when a run that broke has to end."""
        running = self.running[step]
        lost = _lost(running, _BROKE)
        result = self._run.reporter.result(step, State.FAILED, running.attempt, lost)
        yield from self._finish([(running, AttemptResult(running.target_step, result, lost))])

    def _finish(self, ends: Sequence[tuple[RunningStep, AttemptResult]]) -> Iterator[DagsterEvent]:
        """Report attempts to Dagster by exhausting their parked generators."""
        for running, ended in ends:
            if running.log is not None:
                running.log.close()
            attempt_results.give(self._run.run_id, running.parked.context.step.key, ended)
        rest = exhaust([running.parked for running, _ in ends])
        for (running, ended), events in zip(ends, rest, strict=True):
            state = ended.result.state
            if state == "succeeded" and any(event.is_step_failure for event in events):
                step = running.parked.context.step.key
                note = f"WARNING: {step} is committed, and Dagster could not store it"
                self._run.reporter.note(note)
                self.disagrees = True
            # Dagster names the failures that it gets here as causes of the run's failure. A step
            # that we stopped is not one; its event is in the log all the same.
            for event in events:
                if not (event.is_step_failure and state == "canceled"):
                    yield event
            yield from self._call_hooks(running.parked, events)

    def _call_hooks(
        self, parked: ParkedStep, events: Sequence[DagsterEvent]
    ) -> Iterator[DagsterEvent]:
        """Call the user's hooks. A signal raises while they run, even one that came before."""
        if pop_captured_interrupt():
            self._on_interrupt()
        try:
            yield from trigger_hooks(parked.context, [parked.start_event, *events])
        except DagsterExecutionInterruptedError:
            self._on_interrupt()
            yield engine_event(parked.context, "Its hooks were interrupted by a signal")


def _never_ran(running: RunningStep, error: Exception) -> Outcome:
    """The outcome of an attempt that no worker ever had."""
    name, started_at = running.target_step.name, running.parked.started_at
    return failed_to_start(name, running.attempt, error, started_at)


def _lost(running: RunningStep, message: str) -> Outcome:
    """The outcome of an attempt whose worker is gone, as long as nothing better is known."""
    name, started_at = running.target_step.name, running.parked.started_at
    return lost_outcome(name, running.attempt, message, started_at)
