"""How one task becomes a published relation, or leaves no trace.

    build -> columns -> checks -> (stop asked? discard) -> publish, with the proof

A reader sees the old relation or the new one, and the proof is there exactly when the new one is.
The verdict is the warehouse's answer: COMMITTED after a publication that succeeded (or whose proof
can be read), CANCELED if a stop was requested and the statement was interrupted, ROLLED_BACK for
any error of the task itself, and UNKNOWN if nobody can tell yet.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.materializations import AddedTo, Custom, Reading
from dagster_models.core.messages import CheckOutcome, Exported, Outcome, TaskError, Verdict
from dagster_models.core.parts import joined, latest, transactions
from dagster_models.core.tasks import BuildTask, ChecksTask, Task
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.server import checks, export_files
from dagster_models.processes.server.commits import commits_of, first_part, keys_of
from dagster_models.processes.server.failing_rows import StoredRows
from dagster_models.processes.server.python_checks import Ask
from dagster_models.processes.server.refusals import refuse_a_changed_seed, refuse_leftovers
from dagster_models.warehouses.base import Staged, WarehouseSession, find_proof

#: Write conflicts are retried here, as the loser has lost nothing but time.
CONFLICT_RETRIES = 2
CONFLICT_DELAY_SECONDS = 0.05


class Stop:
    """A request to stop a task. It comes too late once the publication has begun.

    The working thread and the asking thread share a lock. So an interrupt is never sent during a
    COMMIT or a ROLLBACK, and once a COMMIT has begun, the request cannot change its result.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._shielded = False
        self.in_time = False  #: it came before the publication began, which will not happen

    def is_set(self) -> bool:
        return self._asked.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        return self._asked.wait(timeout_seconds)

    def ask(self, interrupt: Callable[[], None]) -> None:
        """Request a stop, and interrupt the running statement unless it is shielded."""
        with self._lock:
            self._asked.set()
            if not self._shielded:
                self.in_time = True
                interrupt()

    @contextmanager
    def shielded(self) -> Iterator[bool]:
        """Keep interrupts from the block; yield whether a stop was requested before it."""
        with self._lock:
            self._shielded = True
            asked = self._asked.is_set()
        try:
            yield asked
        finally:
            with self._lock:
                self._shielded = False


@dataclasses.dataclass(slots=True)
class _Build:
    """What is known of an attempt so far; an outcome lists it even when the attempt fails."""

    kept: StoredRows = dataclasses.field(default_factory=StoredRows)
    ask: Ask | None = None
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    checks: tuple[CheckOutcome, ...] = ()
    changes: Changes | None = None
    notes: tuple[str, ...] = ()
    exported: Exported | None = None
    partition_rows: tuple[PartitionRows, ...] = ()


class _Stopped(Exception):
    """A stop was asked for between two statements."""


def run(
    session: WarehouseSession,
    task: BuildTask,
    stop: Stop,
    folders: Sequence[str] = (),
    ask: Ask | None = None,
) -> Outcome:
    """Build and publish the relation of a task, part by part if it has several. After one that was
    not published none is begun; the outcome says what was published by then. *folders*: where
    files may lie meanwhile, by default that for temporary ones. *ask* runs checks in Python.

    Errors of the warehouse and of the user's SQL are in the outcome, and are never raised. The
    session must have no open transaction: one that is open belongs to the caller, and stays open.

    Raises WarehouseLost if the session ended before the publication was attempted.
    """
    outcomes: list[Outcome] = []
    found = task.found
    with closing(StoredRows(folders)) as kept:
        for each in export_files.with_the_last(transactions(task)):
            build = _Build(kept, ask)
            outcomes.append(_one(session, dataclasses.replace(each, found=found), stop, build))
            found = latest(found, outcomes[-1].checks)
            kept.over()
            if not outcomes[-1].succeeded:
                break
        return kept.store(session, task, dataclasses.replace(joined(outcomes), checks=found))


def _one(session: WarehouseSession, task: BuildTask, stop: Stop, build: _Build) -> Outcome:
    """Build and publish what one transaction is to hold."""
    started_at, clock = time.time(), time.perf_counter()
    try:
        verdict, error = _attempts(session, task, stop, build)
    except WarehouseLost:
        raise
    except WarehouseError as failure:
        verdict, error = _verdict(failure, stop)
    return Outcome(
        step=task.step,
        attempt=task.attempt,
        verdict=verdict,
        started_at=started_at,
        seconds=time.perf_counter() - clock,
        rows=build.rows,
        bytes=build.bytes,
        columns=build.columns,
        checks=build.checks,
        error=error,
        changes=build.changes,
        partitions=keys_of(task) if verdict is Verdict.COMMITTED else (),
        notes=build.notes if error is None else (),
        exported=build.exported if error is None else None,
        partition_rows=build.partition_rows if verdict is Verdict.COMMITTED else (),
    )


def run_checks(
    session: WarehouseSession,
    task: ChecksTask,
    stop: Stop,
    folders: Sequence[str] = (),
    ask: Ask | None = None,
) -> Outcome:
    """Run checks on a relation that is there, and read its columns and size. Nothing is written,
    but what a task with a builder stores.

    The verdict is DONE if every query ran and no check of severity "error" failed, and otherwise
    FAILED or CANCELED.
    """
    with closing(StoredRows(folders)) as kept:
        outcome = _run_checks(session, task, stop, _Build(kept, ask))
        kept.over()
        return kept.store(session, task, outcome)


def _run_checks(session: WarehouseSession, task: ChecksTask, stop: Stop, build: _Build) -> Outcome:
    started_at, clock = time.time(), time.perf_counter()
    verdict, error = Verdict.DONE, None
    kept = build.kept if task.builder is not None else None
    try:
        with _reading(session, stop):
            if not task.is_function:
                build.columns = session.columns(task.relation)
                build.bytes = session.size(task.relation)
            name, columns = session.quoted(task.relation), _names(build.columns)
            own = (name, name, columns, None, kept, build.ask)
            checked = checks.Checked(*own, quote=session.quote)
            for outcome in checks.run(session, task.checks, checked, checks.Known()):
                build.checks += (outcome,)
                if stop.is_set():
                    raise _Stopped
        error = _failure(build.checks, "a check failed")
    except _Stopped:
        verdict, error = Verdict.CANCELED, _STOPPED
    except WarehouseLost:
        raise
    except WarehouseError as failure:
        verdict, error = _verdict(failure, stop)
    if error is not None and verdict is not Verdict.CANCELED:
        verdict = Verdict.FAILED
    return Outcome(
        task.step,
        task.attempt,
        verdict,
        started_at,
        time.perf_counter() - clock,
        bytes=build.bytes,
        columns=build.columns,
        checks=build.checks,
        error=error,
    )


def read_before(session: WarehouseSession, task: BuildTask, stop: Stop) -> Reading | None:
    """What a Python model must know before it makes its rows; None for one that returns them all.

    Raises WarehouseError.
    """
    if not isinstance(task.materialization, AddedTo):
        return None
    try:
        return session.read_before(task.relation, task.materialization)
    finally:
        _discard(session, stop)


def refused(task: Task, error: WarehouseError) -> Outcome:
    """Return the outcome of a task that could not even begin."""
    verdict = Verdict.ROLLED_BACK if task.publishes else Verdict.FAILED
    return Outcome(task.step, task.attempt, verdict, time.time(), error=TaskError.of(error))


_STOPPED = TaskError(ErrorKind.CANCELED, "stopped on request and rolled back")


def _verdict(failure: WarehouseError, stop: Stop) -> tuple[Verdict, TaskError]:
    error = TaskError.of(failure)
    # The interrupt may have hit a statement of our own whose error is ignored, such as the one that
    # unregisters an Arrow file. Then the next statement finds the transaction aborted.
    aborted = failure.kind is ErrorKind.TRANSACTION_FAILED and stop.is_set()
    if failure.kind is not ErrorKind.INTERRUPTED and not aborted:
        return Verdict.ROLLED_BACK, error
    if stop.is_set():
        return Verdict.CANCELED, _STOPPED
    return Verdict.ROLLED_BACK, dataclasses.replace(error, transient=True)


def _attempts(
    session: WarehouseSession, task: BuildTask, stop: Stop, build: _Build
) -> tuple[Verdict, TaskError | None]:
    """Try again after a write conflict, and after a check whose error has ended the transaction:
    without it, or if that is not known, with each check for itself."""
    custom = isinstance(task.materialization, Custom)  # its own code has built, and would again
    known = checks.Known(apart=custom)
    conflicts = 0
    while True:
        build.rows, build.bytes, build.columns, build.checks = None, None, (), ()
        build.changes = None
        build.kept.again()
        try:
            return _transaction(session, task, stop, build, known)
        except _Stopped:
            return Verdict.CANCELED, _STOPPED
        except checks.Again as again:
            if custom:
                build.checks = checks.after_the_end(task.checks, build.checks, again)
                what = f"the check {again.check} cannot run: {again.error.message}"
                raise WarehouseError(again.error.kind, what, name=again.error.name) from None
        except WarehouseError as error:
            conflicts += 1
            if error.kind is not ErrorKind.CONFLICT or custom or conflicts > CONFLICT_RETRIES:
                raise
            stop.wait(CONFLICT_DELAY_SECONDS * conflicts)


def _transaction(
    session: WarehouseSession,
    task: BuildTask,
    stop: Stop,
    build: _Build,
    known: checks.Known,
) -> tuple[Verdict, TaskError | None]:
    custom = isinstance(task.materialization, Custom)  # its code has built in a transaction
    if session.in_transaction != custom:
        what = "cannot be published inside a transaction that is already open: commit it or roll it"
        what += " back first"
        if custom:
            what = "cannot be published, as the transaction in which it was built has ended"
        raise WarehouseError(ErrorKind.OPEN_TRANSACTION, f"{task.step} {what}")
    if stop.is_set():
        raise _Stopped
    refuse_a_changed_seed(task)
    refuse_leftovers(session, task)
    try:
        staged = session.build(task)
        build.rows, build.changes, build.notes = staged.rows, staged.changes, staged.notes
        build.partition_rows = staged.partition_rows
        if not staged.is_function:
            build.columns = session.columns(staged.relation)
            build.bytes = session.size(staged.relation)
        _check(session, task, staged, stop, build, known)
        failed = _failure(build.checks)
        if failed is None:
            build.exported = export_files.write(session, task, staged)
            return _publish(session, task, staged, stop, build)
    except BaseException:
        _discard(session, stop)
        export_files.discard(task)
        raise
    _discard(session, stop)
    return Verdict.ROLLED_BACK, failed


def _discard(session: WarehouseSession, stop: Stop) -> None:
    with stop.shielded():
        session.discard()


def _check(
    session: WarehouseSession,
    task: BuildTask,
    staged: Staged,
    stop: Stop,
    build: _Build,
    known: checks.Known,
) -> None:
    """Run every check, even after one has failed: the report lists them all."""
    checked = checks.of_build(session, task, staged, _names(build.columns), build.kept, build.ask)
    for outcome in checks.run(session, task.checks, checked, known):
        build.checks += (outcome,)
        if stop.is_set():
            raise _Stopped


def _names(columns: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(name for name, _ in columns)


@contextmanager
def _reading(session: WarehouseSession, stop: Stop) -> Iterator[None]:
    """A transaction in which nothing can be written."""
    session.begin_reading()
    try:
        yield
    finally:
        _discard(session, stop)


def _failure(
    outcomes: tuple[CheckOutcome, ...], what: str = "not published, as a check failed"
) -> TaskError | None:
    """The error of a build that a failed check keeps from being published, or None. The results of
    the checks say why."""
    if all(check.passed or check.severity != "error" for check in outcomes):
        return None
    return TaskError(ErrorKind.CHECK_FAILED, what)


def _publish(
    session: WarehouseSession, task: BuildTask, staged: Staged, stop: Stop, build: _Build
) -> tuple[Verdict, TaskError | None]:
    """Publish; from here on no stop can intervene."""
    commits = commits_of(task, staged)
    with stop.shielded() as asked:
        if asked:
            raise _Stopped
        try:
            session.publish(staged, commits)
        except WarehouseError as error:
            # Only the proof tells whether it took place, whatever the error suggests.
            session.discard()
            if (unknown := _proved(session, task, error, build)) is not None:
                return Verdict.UNKNOWN, unknown
        build.notes += export_files.settle(session, task)
    return Verdict.COMMITTED, None


def _proved(
    session: WarehouseSession, task: BuildTask, error: WarehouseError, build: _Build
) -> TaskError | None:
    """What the proof says about a publication that raised *error*: None if it took place, why that
    is unknown, or that error.

    The proof may also come from another process that runs the same attempt of the same run (if a
    run was resumed while its first process was still alive): then the attempt is published too, and
    only once.
    """
    try:
        found = find_proof(session, task.relation, task.id, first_part(task))
    except WarehouseError as unreadable:
        return TaskError(
            ErrorKind.LOST,
            f"{task.step}: publishing raised an error ({error.message}), and the commit record that"
            f" says whether it took place all the same cannot be read ({unreadable.message})",
        )
    if found is None:
        raise error
    build.rows, build.changes = found.rows, found.changes
    return None
