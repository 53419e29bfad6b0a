"""The rows that fail a check: some of them as text, and all of them in a table of their own.

That table must survive the rollback that the check leads to. So its rows are exported while the
build still stands, and loaded in a transaction of their own when that is over. The load publishes a
table with a commit record, like any build: a kill leaves the old table or the new one. The record
says which rows they are, and a table with others is never replaced, nor is one that no check of
this project has stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dagster_models.core.check_tasks import (
    MOST_CHARACTERS,
    MOST_COLUMNS,
    CheckTask,
    shown_rows,
)
from dagster_models.core.commit import STORED
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import ArrowFile, BuildTask, ChecksTask
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.server.commits import commits_of, first_part
from dagster_models.util.runtime_files import temp_folder
from dagster_models.warehouses.base import WarehouseSession, quoted

#: A name that means the same without quotes.
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


def _as_sql(relation: Relation) -> str:
    """The relation's name in a query, with quotes only if it needs them."""
    return str(relation) if _PLAIN.fullmatch(str(relation)) else quoted(relation)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows, as texts."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()


NOTHING = Sample()


def sample(
    session: WarehouseSession, sql: str, limit: int | None, first: Sequence[str] = ()
) -> Sample:
    """Some of a query's rows. *first*: the columns to show first."""
    query = session.subquery(sql)
    if query is None:
        return NOTHING
    names, _ = session.read(f"SELECT * FROM (\n{query}\n) AS failing LIMIT 0")
    order = sorted(range(len(names)), key=lambda at: names[at] not in first)[:MOST_COLUMNS]
    if not order:
        return NOTHING
    texts = (f"CAST(c{at} AS {session.text_type})" for at in order)
    listed = ", ".join(f"substr({text}, 1, {MOST_CHARACTERS})" for text in texts)
    columns = ", ".join(f"c{at}" for at in range(len(names)))
    rows = shown_rows(limit)
    # Some servers name the columns of no other subquery.
    failing = f"WITH failing({columns}) AS (\n{query}\n)"
    _, found = session.read(f"{failing} SELECT {listed} FROM failing LIMIT {rows}")
    return Sample(tuple(names[at] for at in order), tuple(map(tuple, found)))


# All of them -------------------------------------------------------------------------------------

#: Another check of the same name may store its rows at the same moment.
_TRIES, _DELAY_SECONDS = 3, 0.05


@dataclass(slots=True)
class StoredRows:
    """The offending rows of a task's checks, in files, until its transactions are over.

    ``folders``: where these may lie. One transaction is open at a time; what it has written counts
    once it is ``over``, and not if it is tried ``again``. Each transaction writes what offends in
    all that the build has written by then, so the last file of a check has all of its rows.
    """

    folders: Sequence[str] = ()
    _now: dict[str, str] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)
    _why_not: dict[str, str] = field(default_factory=dict)

    def write(self, session: WarehouseSession, check: CheckTask, sql: str, failures: int) -> None:
        """Export the rows that *sql* selects, of which there are so many. Raises WarehouseError,
        also for rows that no file can hold."""
        # No rows are read for a check that has found none: the table is to be empty.
        most = 0 if not failures else check.limit
        limit = "" if most is None else f" LIMIT {most}"
        query = session.subquery(sql)
        try:
            if query is None:
                raise WarehouseError(ErrorKind.UNSUPPORTED, "its query is no subquery")
            text = f"SELECT * FROM (\n{query}\n) AS failing{limit}"
            self._now[check.name], _ = session.export(text, self.folders or [temp_folder()])
        except WarehouseError as error:
            self.give_up(check.name, error.message)
            raise
        self._why_not.pop(check.name, None)

    def give_up(self, name: str, why: str) -> None:
        """The rows of this check cannot be read."""
        self._why_not[name] = why

    def take(self, session: WarehouseSession, check: CheckTask, path: str, failures: int) -> None:
        """Take a file with the rows, of a check that has made it itself; "" for none. Its columns
        are not known if it has found nothing: then those of the table stay. Raises WarehouseError.
        """
        if path:
            self._now[check.name] = path
            self._why_not.pop(check.name, None)
        elif failures:
            self.give_up(check.name, "it returned no rows")
        elif check.store is not None and session.there([check.store]):
            self.write(session, check, f"SELECT * FROM {session.quoted(check.store)}", 0)

    def again(self) -> None:
        for path in self._now.values():
            _remove(path)
        self._now.clear()

    def over(self) -> None:
        """The transaction has ended, whatever its end."""
        for name in self._now.keys() & self._files.keys():
            _remove(self._files[name])
        self._files |= self._now
        self._now = {}

    def store(
        self, session: WarehouseSession, task: BuildTask | ChecksTask, outcome: Outcome
    ) -> Outcome:
        """Put the rows into their tables, each in a transaction of its own. The task has its end
        already, so an error is only a note."""
        stored: dict[str, tuple[str, int | None]] = {}
        notes: list[str] = []
        if outcome.verdict not in (Verdict.CANCELED, Verdict.UNKNOWN):
            for check in task.checks:
                why = self._why_not.get(check.name, "")
                if not why and check.name in self._files and check.store is not None:
                    rows = self._store(session, task, check, check.store)
                    if isinstance(rows, str):
                        why = rows
                    else:
                        stored[check.name] = _as_sql(check.store), rows
                if why:
                    notes.append(check.not_stored(why))
        checks = []
        for it in outcome.checks:
            table, number = stored.get(it.name, ("", None))
            checks.append(replace(it, stored=table, stored_rows=number))
        return replace(outcome, checks=tuple(checks), notes=(*outcome.notes, *notes))

    def _store(
        self,
        session: WarehouseSession,
        task: BuildTask | ChecksTask,
        check: CheckTask,
        store: Relation,
    ) -> int | str | None:
        """How many rows are stored, None if that is not known; a text says why they are not."""
        step = f"{task.step}: {check.name}"
        for number in range(1, _TRIES + 1):
            try:
                return _publish(session, task, store, step, self._files[check.name])
            except WarehouseLost:
                raise
            except (WarehouseError, OSError) as error:
                conflict = isinstance(error, WarehouseError) and error.kind is ErrorKind.CONFLICT
                if not conflict or number == _TRIES:
                    return str(error)
                time.sleep(_DELAY_SECONDS * number)
        raise AssertionError("the last try returns")

    def close(self) -> None:
        """Remove the files; may be called more than once."""
        self.again()
        for path in self._files.values():
            _remove(path)
        self._files.clear()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _refuse_others(
    session: WarehouseSession, store: Relation, step: str, builder: str | None
) -> None:
    """Raise WarehouseError if what is there was not stored by this check, or has changed since."""
    if not session.there([store]):
        return
    built = session.built_by(builder, [str(store)]) if builder is not None else []
    why = next((it.kept for it in built), "this project has not stored it")
    if built and not why and built[0].commit.step != step:
        why = f"it belongs to {built[0].commit.step}"
    if why:
        what = f"{store} is kept: {why}. Rename or drop it, or give the check another name"
        raise WarehouseError(ErrorKind.NOT_KEPT, what)


def _publish(
    session: WarehouseSession,
    task: BuildTask | ChecksTask,
    store: Relation,
    step: str,
    path: str,
) -> int | None:
    load = BuildTask(task.run_id, step, task.attempt, store, ArrowFile(path), builder=task.builder)
    try:
        staged = session.build(load, lambda: _refuse_others(session, store, step, task.builder))
        stored = replace(load, code_version=STORED + session.contents(store))
        # Of a Python model each transaction is a task of its own, and stores what offends by then.
        part = first_part(task) if isinstance(task, BuildTask) else 0
        session.publish(staged, [replace(it, part=part) for it in commits_of(stored, staged)])
        return staged.rows
    except BaseException:
        session.discard()
        raise
