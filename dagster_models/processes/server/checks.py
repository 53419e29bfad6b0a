"""Running the checks of a relation: what each of them finds, in the order of their declaration.

    one scan for all checks of single rows -> a query for each other check -> thresholds -> examples

A build may have several transactions. Its window is what all of them have written by then, and so
the last outcome of a check is that of the build. Only the scan looks at the rows of one transaction
and adds what the earlier ones have found; everything else is asked of the window as a whole.

If the scan fails, its checks run one by one, so that the error is that of the check which caused
it. Where an error ends the transaction of a build, and the warehouse has no savepoints, nothing can
be asked any more: ``Again`` asks for another try of that transaction, and ``Known`` says what that
one has to leave out. If the check must pass, there is no other try: those after it that the scan
has not counted did not run, and their outcome says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.messages import CheckOutcome, TaskError
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server import failing_rows, python_checks
from dagster_models.warehouses.base import Staged, WarehouseSession, quote

T = TypeVar("T")

_ALL = "count(*)"


@dataclass(frozen=True, slots=True)
class Checked:
    """What is checked. ``name`` is the relation and ``window`` what has the rows that a build wrote
    (the relation itself, where that is not known), as SQL. ``rows``: how many rows the relation
    has, None if nobody has counted them. ``kept`` gets the rows that offend, of checks that store
    them; None: they are not stored. ``ask`` runs those that are Python functions. ``found``: the
    outcomes of checks in earlier transactions of the build. ``widen`` adds the rows of these to the
    window; None where it has all of them."""

    name: str
    window: str
    columns: tuple[str, ...] = ()
    rows: int | None = None
    kept: failing_rows.StoredRows | None = None
    ask: python_checks.Ask | None = None
    found: Mapping[str, CheckOutcome] = field(default_factory=dict)
    widen: Callable[[], None] | None = None
    quote: Callable[[str], str] = quote

    def source(self, check: CheckTask) -> str:
        return self.window if check.scope == "window" else self.name

    def adds_to(self, check: CheckTask) -> bool:
        """Whether what the check finds in this transaction can be added to what is known."""
        known = self.found.get(check.name)
        return (
            self.widen is not None
            and check.scope == "window"
            and known is not None
            and known.error is None
            and known.rows is not None
        )

    def sent(self, check: CheckTask, sql: str) -> str:
        """SQL of the check, as it is sent."""
        return check.sent(sql, self.name, self._columns(check), self.source(check))

    def shown(self, check: CheckTask, sql: str) -> str:
        """The same for the user to send, when there is no window any more."""
        return check.sent(sql, self.name, self._columns(check), self.name)

    def _columns(self, check: CheckTask) -> list[str]:
        return [self.quote(column) for column in check.columns_in(self.columns)]


def of_build(
    session: WarehouseSession,
    task: BuildTask,
    staged: Staged,
    columns: tuple[str, ...],
    kept: failing_rows.StoredRows,
    ask: python_checks.Ask | None,
) -> Checked:
    """What is checked of a build."""
    return Checked(
        session.name_of(staged),
        session.window_of(staged),
        columns,
        staged.rows,
        kept,
        ask,
        {outcome.name: outcome for outcome in task.found},
        partial(session.widen, staged) if staged.written_by_now else None,
        session.quote,
    )


@dataclass(slots=True)
class Known:
    """What earlier tries of a transaction have found out. ``apart``: the row checks cannot be
    counted in one scan. ``broken``: the checks that only warn and whose query fails. ``unshown``:
    the checks whose offending rows cannot be read, each with the reason."""

    apart: bool = False
    broken: dict[str, CheckOutcome] = field(default_factory=dict)
    unshown: dict[str, str] = field(default_factory=dict)


class Again(Exception):
    """An error has ended the transaction, which may be tried again without what ``Known`` names."""

    def __init__(self, check: str, error: TaskError) -> None:
        self.check, self.error = check, error


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a check has found, and in how many rows. ``sql`` selects what offends."""

    failures: int
    rows: int | None
    sql: str = ""
    found: str = ""
    value: float | None = None
    seconds: float = 0.0


def run(
    session: WarehouseSession, checks: Sequence[CheckTask], checked: Checked, known: Known
) -> Iterator[CheckOutcome]:
    """The outcome of each check. All of them run, even after one has failed, as far as the open
    transaction goes on after an error; without one it always does.

    Raises Again, and WarehouseError if the session was interrupted or another try may succeed.
    """
    if checks:
        yield from _Checks(session, checked, known).outcomes(checks)


class _Checks:
    def __init__(self, session: WarehouseSession, checked: Checked, known: Known) -> None:
        self._session, self._checked, self._known = session, checked, known
        self._in_transaction = session.in_transaction
        #: Whether other statements can follow one that has failed.
        self._goes_on = not self._in_transaction or session.savepoint()
        self._has_ended = False  #: by the error of a check
        self._ended_by = ""  # the check whose error has ended the transaction for good

    def outcomes(self, checks: Sequence[CheckTask]) -> Iterator[CheckOutcome]:
        broken = self._known.broken
        of_rows = [it for it in checks if it.condition and it.name not in broken]
        added = self._added(self._in_one_scan(list(filter(self._checked.adds_to, of_rows))))
        if self._checked.widen is not None:
            self._checked.widen()
            if self._in_transaction and self._goes_on:
                self._session.savepoint()  # what is undone after an error is not the wider window
        rest = self._in_one_scan([it for it in of_rows if not self._checked.adds_to(it)])
        counted = {**added, **rest}
        for check in checks:
            outcome = broken.get(check.name) or self._outcome(check, counted.get(check.name))
            yield outcome
            if outcome.error is None or not self._has_ended:
                continue
            if check.name in broken or self._ended_by:
                continue
            if not check.blocking:
                broken[check.name] = outcome
                raise Again(check.name, outcome.error)
            self._ended_by = check.name

    def _outcome(self, check: CheckTask, counted: _Counted | None) -> CheckOutcome:
        if counted is None and self._ended_by:
            return _not_run(check, self._ended_by)
        if check.code is not None:
            return self._of_python(check)
        clock = time.perf_counter()
        found = self._try(lambda: self._count(check)) if counted is None else counted
        if isinstance(found, TaskError):
            self._has_ended = not self._goes_on
            # The line of a row check counts in a text of ours.
            error = replace(found, line=None) if check.condition else found
            seconds = self._seconds(check, clock)
            return CheckOutcome(check.name, check.severity_of_error, error=error, seconds=seconds)
        severity, accepted = check.judged(found.failures, found.rows)
        sample = self._shown(check, found)
        return CheckOutcome(
            check.name,
            severity,
            found.failures,
            seconds=self._seconds(check, clock) + found.seconds,
            rows=found.rows,
            accepted=accepted,
            sample=sample.rows,
            sample_columns=sample.columns,
            query=self._checked.shown(check, found.sql or check.number),
            found=found.found,
            value=found.value,
        )

    def _of_python(self, check: CheckTask) -> CheckOutcome:
        """The outcome of a check whose function the client runs."""
        clock, source, ask = time.perf_counter(), self._checked.source(check), self._checked.ask
        if ask is None:
            what = f"the check {check.name} is a Python function, which this client does not run"
            raise WarehouseError(ErrorKind.INVALID_REQUEST, what)
        found = python_checks.found_by(self._session, check, source, ask, goes_on=self._goes_on)
        if found.error is not None:
            self._has_ended = found.ended
            seconds = self._seconds(check, clock)
            return CheckOutcome(check.name, check.severity_of_error, 0, found.error, seconds)
        rows = self._rows(check) if found.checked is None else found.checked
        severity, accepted = check.judged(found.failures, rows)
        kept = self._checked.kept
        if check.store is not None and kept is not None:
            take = (self._session, check, found.path, found.failures)
            self._read_on(check, lambda: kept.take(*take))
        return CheckOutcome(
            check.name,
            severity,
            found.failures,
            seconds=self._seconds(check, clock),
            rows=rows,
            accepted=accepted,
            sample=found.sample,
            sample_columns=found.columns,
            query=found.query if source == self._checked.name else "",
            found=found.description,
        )

    def _seconds(self, check: CheckTask, clock: float) -> float:
        """What the check has taken since that moment, and in earlier transactions."""
        before = self._checked.found.get(check.name)
        return (before.seconds if before is not None else 0.0) + time.perf_counter() - clock

    def _try(self, query: Callable[[], T]) -> T | TaskError:
        """What *query* returns, or its error; the transaction goes on if it can."""
        try:
            return query()
        except WarehouseError as failure:
            if failure.kind is ErrorKind.INTERRUPTED or failure.transient:
                raise
            if self._in_transaction and self._goes_on:
                self._session.back_to_savepoint()
            return TaskError.of(failure)

    # What a check finds

    def _added(self, counted: Mapping[str, _Counted]) -> dict[str, _Counted]:
        """What the scan has found, and earlier transactions before it."""
        found = {}
        for name, now in counted.items():
            before = self._checked.found[name]
            rows = (now.rows or 0) + (before.rows or 0)
            found[name] = replace(now, failures=now.failures + before.failures, rows=rows)
        return found

    def _in_one_scan(self, checks: Sequence[CheckTask]) -> Mapping[str, _Counted]:
        """What these row checks find, each scope in one scan; empty if they must run apart."""
        if not checks or self._known.apart:
            return {}
        found = self._try(lambda: self._scan(checks))
        if not isinstance(found, TaskError):
            return found
        if not self._goes_on:
            self._known.apart = True
            raise Again(checks[0].name, found)
        return {}

    def _scan(self, checks: Sequence[CheckTask]) -> dict[str, _Counted]:
        by_source: dict[str, list[CheckTask]] = {}
        for check in checks:
            by_source.setdefault(self._checked.source(check), []).append(check)
        found: dict[str, _Counted] = {}
        for source, those in by_source.items():
            clock = time.perf_counter()
            numbers = {_ALL: 0}
            for check in those:
                for number in self._numbers(check):
                    numbers.setdefault(number, len(numbers))
            _, (counts,) = self._session.read(f"SELECT {', '.join(numbers)} FROM {source}")
            share = (time.perf_counter() - clock) / len(those)
            for check in those:
                failures, rows = (int(counts[numbers[it]]) for it in self._numbers(check))
                found[check.name] = _Counted(failures, rows, check.sql, seconds=share)
        return found

    def _numbers(self, check: CheckTask) -> tuple[str, str]:
        """What counts the rows that offend, and those in scope."""
        return self._number(check, check.condition), self._number(check, check.where)

    def _number(self, check: CheckTask, condition: str) -> str:
        # The condition may end with a comment.
        sent = self._checked.sent(check, condition)
        return f"count(CASE WHEN {sent}\n THEN 1 END)" if condition else _ALL

    def _count(self, check: CheckTask) -> _Counted:
        if check.condition:
            return self._scan([check])[check.name]
        check = self._with_others(check)
        if check.number:
            sql = self._checked.sent(check, check.number)
            _, ((failures, found, *value),) = self._session.read(sql)
            number = float(value[0]) if value and value[0] is not None else None
            return _Counted(int(failures or 0), None, check.sql, str(found or ""), number)
        sql = check.sql
        if check.alike:
            _, ((alike,),) = self._session.read(self._checked.sent(check, check.alike))
            sql = sql if alike else check.across
        failures = self._session.count(self._checked.sent(check, sql))
        return _Counted(failures, self._rows(check), sql)

    def _with_others(self, check: CheckTask) -> CheckTask:
        """The check with the columns of other relations as these have them."""
        columns: list[str] = []
        for other in check.others:
            source = self._checked.sent(check, other.relation)
            names, _ = self._session.read(f"SELECT * FROM {source} AS other_rows LIMIT 0")
            columns += map(self._session.quote, other.columns_in(names))
        return check.with_others(columns)

    def _rows(self, check: CheckTask) -> int | None:
        """How many rows are in scope, where a threshold needs that: what a query returns need not
        be rows of the relation."""
        if not check.is_of_percent:
            return None
        known = self._checked.rows if self._checked.source(check) == self._checked.name else None
        if known is not None and not check.where:
            return known
        number, source = self._number(check, check.where), self._checked.source(check)
        _, ((rows,),) = self._session.read(f"SELECT {number} FROM {source}")
        return int(rows)

    # The rows that offend

    def _shown(self, check: CheckTask, found: _Counted) -> failing_rows.Sample:
        """Some of them, and none where they cannot be read. All are kept, of a check that stores
        them."""
        why_not = self._known.unshown.get(check.name, "")
        if self._ended_by:
            why_not = f"the check {self._ended_by} could not run, and its error ended the build"
        if why_not:
            if check.store is not None and self._checked.kept is not None:
                self._checked.kept.give_up(check.name, why_not)
            return failing_rows.NOTHING
        sample = self._read_on(check, lambda: self._sample(check, found))
        self._read_on(check, lambda: self._keep(check, found))
        return sample or failing_rows.NOTHING

    def _read_on(self, check: CheckTask, read: Callable[[], T]) -> T | None:
        """What *read* returns; None where the rows cannot be read."""
        found = self._try(read)
        if not isinstance(found, TaskError):
            return found
        if not self._goes_on:
            self._known.unshown[check.name] = found.message
            raise Again(check.name, found)
        return None

    def _sample(self, check: CheckTask, found: _Counted) -> failing_rows.Sample:
        if not found.failures or not found.sql:
            return failing_rows.NOTHING
        sql, first = self._checked.sent(check, found.sql), check.columns_in(self._checked.columns)
        return failing_rows.sample(self._session, sql, check.limit, first)

    def _keep(self, check: CheckTask, found: _Counted) -> None:
        kept = self._checked.kept
        if check.store is not None and kept is not None and found.sql:
            sql = self._checked.sent(check, found.sql)
            kept.write(self._session, check, sql, found.failures)


# Checks that nobody could ask ---------------------------------------------------------------------


def _not_run(check: CheckTask, ended_by: str) -> CheckOutcome:
    why = f"it did not run: the check {ended_by} before it could not, and its error ended the build"
    error = TaskError(ErrorKind.NOT_RUN, why)
    return CheckOutcome(check.name, check.severity_of_error, error=error)


def after_the_end(
    checks: Sequence[CheckTask], outcomes: Sequence[CheckOutcome], again: Again
) -> tuple[CheckOutcome, ...]:
    """An outcome of each check, where there is no other try after an error."""
    known = {outcome.name: outcome for outcome in outcomes}
    for check in checks:
        known.setdefault(check.name, _not_run(check, again.check))
    if not known[again.check].has_run:
        known[again.check] = replace(known[again.check], error=again.error)
    return tuple(known.values())
