"""How one task becomes a published relation, or leaves no trace.

    BEGIN -> build -> columns -> checks -> (stop asked? ROLLBACK) -> commit record -> COMMIT

All of it is one transaction, so a reader sees the old relation or the new one, and the commit
record is there exactly when the new one is. The outcome is the warehouse's answer: COMMITTED after
a COMMIT that succeeded (or whose record can be read), CANCELED when a stop was asked for and the
statement was interrupted, ROLLED_BACK for every error of its own.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dagster_models.core.messages import (
    CheckOutcome,
    CheckTask,
    Outcome,
    Task,
    TaskError,
    Verdict,
)
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.base import Commit, WarehouseSession

#: Write conflicts are retried here, as the loser of one lost nothing but time.
CONFLICT_RETRIES = 2
CONFLICT_DELAY_SECONDS = 0.05


class Stop:
    """A request to stop, and the one moment in which it comes too late.

    The thread that works and the one that asks meet in one lock: an interrupt is never sent into a
    COMMIT or a ROLLBACK, and once a COMMIT is on its way the request cannot turn its answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._shielded = False
        self.in_time = False  #: asked before the publication began: there will be none

    def is_set(self) -> bool:
        return self._asked.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        return self._asked.wait(timeout_seconds)

    def ask(self, interrupt: Callable[[], None]) -> None:
        """Ask to stop, and interrupt what runs unless it is past stopping."""
        with self._lock:
            self._asked.set()
            if not self._shielded:
                self.in_time = True
                interrupt()

    @contextmanager
    def shielded(self) -> Iterator[bool]:
        """No interrupt reaches what runs in here; True if a stop was asked for before."""
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
    """What is known of an attempt so far; an outcome lists it also when the attempt fails."""

    rows: int | None = None
    bytes: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    checks: tuple[CheckOutcome, ...] = ()


class _Stopped(Exception):
    """A stop was asked for between two statements."""


class _BrokenWarning(Exception):
    """The query of a check that may only warn failed, and took the transaction with it."""

    def __init__(self, check: CheckOutcome) -> None:
        self.check = check


def run(session: WarehouseSession, task: Task, stop: Stop) -> Outcome:
    """Build and publish the relation of a task of kind "sql", "seed" or "arrow".

    Never raises for what the warehouse or the user's text does wrong: that is in the outcome. The
    session must have no open transaction (that one belongs to the caller, and stays).

    Raises WarehouseLost where a COMMIT failed and the commit record cannot be read: in doubt.
    """
    started_at, clock = time.time(), time.perf_counter()
    build = _Build()
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
    )


def standing(
    session: WarehouseSession, task: Task, attempt: int, rows: int | None
) -> Outcome | None:
    """The outcome of a publication of an earlier run that is still there, as if it were made now.

    Its columns and checks are read again, as its commit record does not have them. None: it cannot
    be read, or does not pass its checks any more.
    """
    if task.relation is None:
        return None
    try:
        columns, size = session.columns(task.relation), session.size(task.relation)
        checks = tuple(_one_check(session, check) for check in task.checks)
    except WarehouseError:
        return None
    if _failure(checks) is not None:
        return None
    return Outcome(
        task.step,
        attempt,
        Verdict.COMMITTED,
        rows=rows,
        bytes=size,
        columns=columns,
        checks=checks,
    )


def refused(task: Task, error: WarehouseError) -> Outcome:
    """The outcome of a task that could not even begin."""
    return Outcome(
        task.step, task.attempt, Verdict.ROLLED_BACK, time.time(), error=TaskError.of(error)
    )


def _verdict(failure: WarehouseError, stop: Stop) -> tuple[Verdict, TaskError]:
    error = TaskError.of(failure)
    if failure.kind is not ErrorKind.INTERRUPTED:
        return Verdict.ROLLED_BACK, error
    if stop.is_set():
        return Verdict.CANCELED, TaskError(ErrorKind.CANCELED, "stopped on request and rolled back")
    return Verdict.ROLLED_BACK, dataclasses.replace(error, transient=True)


def _attempts(
    session: WarehouseSession, task: Task, stop: Stop, build: _Build
) -> tuple[Verdict, TaskError | None]:
    """Try, again after a write conflict, and without a check that warns but cannot run."""
    broken: dict[str, CheckOutcome] = {}
    conflicts = 0
    while True:
        build.rows, build.bytes, build.columns, build.checks = None, None, (), ()
        try:
            return _transaction(session, task, stop, build, broken)
        except _Stopped:
            return Verdict.CANCELED, TaskError(
                ErrorKind.CANCELED, "stopped on request and rolled back"
            )
        except _BrokenWarning as warning:
            broken[warning.check.name] = warning.check
        except WarehouseError as error:
            conflicts += 1
            if error.kind is not ErrorKind.CONFLICT or conflicts > CONFLICT_RETRIES:
                raise
            stop.wait(CONFLICT_DELAY_SECONDS * conflicts)


def _transaction(
    session: WarehouseSession,
    task: Task,
    stop: Stop,
    build: _Build,
    broken: dict[str, CheckOutcome],
) -> tuple[Verdict, TaskError | None]:
    if session.in_transaction:
        raise WarehouseError(
            ErrorKind.OPEN_TRANSACTION,
            f"{task.step} cannot be published inside a transaction that is already open:"
            " commit it or roll it back first",
        )
    if task.relation is None:
        raise WarehouseError(ErrorKind.INVALID_REQUEST, f"{task.step} has no relation to build")
    if stop.is_set():
        raise _Stopped
    try:
        session.begin()
        build.rows = _create(session, task, task.relation)
        build.columns = session.columns(task.relation)
        build.bytes = session.size(task.relation)
        _check(session, task, stop, build, broken)
        failed = _failure(build.checks)
        if failed is None:
            return _publish(session, task, task.relation, stop, build)
    except BaseException:
        _rollback(session, stop)
        raise
    _rollback(session, stop)
    return Verdict.ROLLED_BACK, failed


def _rollback(session: WarehouseSession, stop: Stop) -> None:
    with stop.shielded():
        session.rollback()


def _create(session: WarehouseSession, task: Task, relation: Relation) -> int | None:
    if task.kind == "sql":
        return session.create(relation, task.materialized, task.sql)
    if task.kind == "seed":
        with suppress(OSError), open(task.path, "rb") as file:  # the warehouse tells of those
            if not task.is_of(file.read()):
                raise WarehouseError(ErrorKind.CHANGED_FILE, task.changed)
        return session.create_from_csv(relation, task.path, task.column_types)
    if task.kind == "arrow":
        return session.create_from_arrow(relation, task.path)
    raise WarehouseError(
        ErrorKind.INVALID_REQUEST, f"the warehouse cannot run a task of kind {task.kind!r}"
    )


def _check(
    session: WarehouseSession,
    task: Task,
    stop: Stop,
    build: _Build,
    broken: dict[str, CheckOutcome],
) -> None:
    """Run every check, also after one that failed: the report lists them all."""
    for check in task.checks:
        if stop.is_set():
            raise _Stopped
        result = broken.get(check.name)
        if result is None:
            result = _one_check(session, check)
            build.checks += (result,)
            if result.error:
                # Some errors end the transaction and some don't: trust none (COMMIT won't tell).
                if check.severity == "error":
                    return
                raise _BrokenWarning(result)
        else:
            build.checks += (result,)


def _one_check(session: WarehouseSession, check: CheckTask) -> CheckOutcome:
    clock = time.perf_counter()
    failures, error = 0, None
    try:
        failures = session.count(check.sql)
    except WarehouseError as failure:
        if failure.kind is ErrorKind.INTERRUPTED or failure.transient:
            raise
        error = TaskError.of(failure)
    return CheckOutcome(check.name, check.severity, failures, error, time.perf_counter() - clock)


def _failure(checks: tuple[CheckOutcome, ...]) -> TaskError | None:
    failed = [check for check in checks if check.severity == "error" and not check.passed]
    if not failed:
        return None
    told = "; ".join(
        f"{check.name}: {check.error.message}"
        if check.error
        else f"{check.name}: {check.failures} offending row{'s' if check.failures != 1 else ''}"
        for check in failed
    )
    return TaskError(ErrorKind.CHECK_FAILED, f"not published, as a check failed: {told}")


def _publish(
    session: WarehouseSession, task: Task, relation: Relation, stop: Stop, build: _Build
) -> tuple[Verdict, TaskError | None]:
    """The commit record and COMMIT, where no stop can come between any more."""
    with stop.shielded() as asked:
        if asked:
            raise _Stopped
        session.write_record(
            Commit(
                task.run_id,
                task.step,
                task.attempt,
                str(relation),
                task.code_version,
                task.input_versions,
                build.rows,
            )
        )
        try:
            session.commit()
        except WarehouseError as error:
            # Whether it took place is what the record says, not what the error suggests.
            session.rollback()
            if not _recorded(session, task, error):
                raise
    return Verdict.COMMITTED, None


def _recorded(session: WarehouseSession, task: Task, error: WarehouseError) -> bool:
    try:
        return session.find_record(task.run_id, task.step, task.attempt) is not None
    except WarehouseError as unreadable:
        raise WarehouseLost(
            ErrorKind.LOST,
            f"{task.step}: COMMIT failed ({error.message}), and whether it took place cannot be"
            f" read any more ({unreadable.message})",
        ) from error
