"""Processes that carry out builds until they kill themselves, and what each reports before that.

Each is a fork of one process that has imported everything but opened no database: a life costs some
10 ms, and random histories need thousands of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from dagster_models.core.messages import Outcome
from dagster_models.core.target_types import own_types
from dagster_models.core.tasks import (
    BuildTask,
    ChecksTask,
    Task,
    task_from_json,
    task_to_json,
)
from dagster_models.errors import WarehouseError
from dagster_models.processes.server.attempt import Stop, run, run_checks
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from dagster_models.warehouses.materializations import snapshot
from paths import environment_of_tests
from systems import System

#: The columns of a commit record that a test compares.
RECORD = ("attempt", "part", "kind", "inserted", "updated", "deleted")


@dataclass(frozen=True)
class Kill:
    """``act``: before or after a statement, where each statement is two acts. They are counted from
    the beginning, or once there were that many COMMITs and ROLLBACKs of builds. ``seconds``: at any
    moment after that time. None: no kill."""

    act: int | None = None
    commits: int = 0
    rollbacks: int = 0
    seconds: float | None = None


NO_KILL = Kill()


@dataclass(frozen=True)
class Build:
    """``now`` is what the clock of a snapshot says."""

    task: BuildTask | ChecksTask
    now: datetime = datetime(2024, 1, 1)


@dataclass(frozen=True)
class State:
    """What a reader sees. ``table``: each row by its columns, as texts; None where there is none.
    ``records``: see RECORD; ``stored``: the table of the rows that fail the check c."""

    table: list[dict[str, str | None]] | None
    records: list[list[Any]]
    stored: list[dict[str, str | None]] | None = None


@dataclass(frozen=True)
class Work:
    """What a life has done: whether it has prepared the database, and each build with what was
    there after it. ``ended`` is 0, after so many ``acts``, or -9 after a kill."""

    prepared: bool
    done: list[tuple[Outcome, State]]
    ended: int
    acts: int = 0


@dataclass
class Life:
    """``began`` is what it found, and ``answers`` are those to its questions."""

    began: State
    answers: list[list[list[str]]]
    _lines: Iterator[dict[str, Any]]
    _send: Callable[[Any], None]
    has_ended: bool = False

    def work(self, builds: Sequence[Build] = (), kill: Kill = NO_KILL) -> Work:
        """Carry these builds out, and end."""
        tasks = [[task_to_json(it.task), it.now.isoformat()] for it in builds]
        self._send({"builds": tasks, "kill": dataclasses.asdict(kill)})
        prepared, done, acts = False, list[tuple[Outcome, State]](), 0
        for said in self._lines:
            if "outcome" in said:
                done.append((Outcome.from_json(said["outcome"]), State(**said["state"])))
            elif "ended" in said:
                self.has_ended = True
                return Work(prepared, done, said["ended"], acts)
            acts = said.get("acts", 0)
            prepared = True
        raise AssertionError("the process of all lives has ended")


def count_kills(what: str, histories: int, play: Callable[[int], Counter[str]]) -> Counter[str]:
    """Live as many histories, each of a seed, and a few more if none of them was killed, as kills
    after some time may come too late; say how many kills there were, and what they met."""
    kills, played = Counter[str](), 0
    while played < histories or (not kills and played < histories + 5):
        kills += play(played)
        played += 1
    listed = ", ".join(f"{count} {met}" for met, count in sorted(kills.items()))
    print(f"{what}: {played} histories, {kills.total()} kills ({listed})")
    return kills


class Lives:
    """One after the other, each in a process of its own."""

    def __init__(self) -> None:
        # A life that is killed leaves its files there, e.g. the rows that fail a check.
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment_of_tests(), "TMPDIR": self._folder.name},
            text=True,
        )
        self._count = 0
        self._life: Life | None = None

    def close(self) -> None:
        self._end()
        self._process.communicate()
        self._folder.cleanup()

    def begin(self, system: System, questions: Sequence[str] = (), *, fresh: bool = False) -> Life:
        """A new life. The answer to a query that fails is empty; ``fresh``: the database is emptied
        first."""
        self._end()
        self._count += 1
        self._send(
            {
                "system": [system.name, system.settings],
                "names": [f"life {os.getpid()}.{n}" for n in (self._count, self._count - 1)],
                "questions": list(questions),
                "fresh": fresh,
            }
        )
        lines = self._said()
        began = next(lines)
        assert "state" in began, began
        self._life = Life(State(**began["state"]), began["answers"], lines, self._send)
        return self._life

    def _end(self) -> None:
        """A test that has failed has left a life waiting."""
        if self._life is not None and not self._life.has_ended:
            self._life.work()

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)

    def _said(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # it was cut off by a kill
                yield json.loads(line)


# In the process of all lives, and its forks ------------------------------------------------------


def main() -> None:
    for type_ in own_types().values():
        importlib.import_module(type_.module)
    # Not `for line in sys.stdin`, which reads ahead: a life reads the next line.
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _live_and_exit(json.loads(line))
        _, status = os.waitpid(child, 0)
        _say(ended=os.waitstatus_to_exitcode(status))


def _say(**what: Any) -> None:
    # At once, and after whatever a kill has cut off.
    os.write(1, f"\n{json.dumps(what)}\n".encode())


def _live_and_exit(job: dict[str, Any]) -> None:
    try:
        _live(job)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _live(job: dict[str, Any]) -> None:
    acts = _Acts()
    name, before = job["names"]
    warehouse = System(*job["system"], "", "").open()
    with _watched(warehouse, name, acts) as session:
        assert session.fence(before, 20), "the life before could still commit"
        if job["fresh"]:
            for schema in ("s", "dagster_models"):
                session.execute(f"drop schema if exists {schema} cascade")
        _say(state=_state(session), answers=[_answer(session, it) for it in job["questions"]])
        work = json.loads(sys.stdin.readline())
        acts.kill = Kill(**work["kill"])
        if acts.kill.seconds is not None:
            threading.Thread(target=_kill_after, args=(acts.kill.seconds,), daemon=True).start()
        if work["builds"]:
            with acts.counted():
                session.prepare(["s"])
            acts.prepared = True
            _say(prepared=True)
        for task, now in work["builds"]:
            snapshot.utc_now = lambda now=now: datetime.fromisoformat(now)  # type: ignore[misc]
            with acts.counted():
                outcome = _outcome(session, task_from_json(task))
            _say(outcome=outcome.to_json(), state=_state(session))
        _say(acts=acts.number)
    warehouse.close()


def _kill_after(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _outcome(session: WarehouseSession, task: Task) -> Outcome:
    if isinstance(task, ChecksTask):
        return run_checks(session, task, Stop())
    assert isinstance(task, BuildTask)
    return run(session, task, Stop())


class _Acts:
    """Counts what goes to the warehouse, and kills this process at the act that ``kill`` says."""

    def __init__(self) -> None:
        self.kill = NO_KILL
        self.number = 0
        self.ends = Counter[str]()  #: of builds
        self.prepared = False
        self._counting = False

    @contextmanager
    def counted(self) -> Iterator[None]:
        self._counting = True
        yield
        self._counting = False

    def around(self, send: Callable[..., Any], statement: Any, *more: Any, **named: Any) -> Any:
        """Send a statement, and wait for the answer."""
        self._one()
        answer = send(statement, *more, **named)
        if self.prepared and statement in ("COMMIT", "ROLLBACK"):
            self.ends[statement] += 1
        self._one()
        return answer

    def _one(self) -> None:
        kill, ends = self.kill, self.ends
        begun = ends["COMMIT"] >= kill.commits and ends["ROLLBACK"] >= kill.rollbacks
        if self._counting and begun:
            self.number += 1
            if self.number == kill.act:
                os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _watched(warehouse: OpenWarehouse, name: str, acts: _Acts) -> Iterator[WarehouseSession]:
    """A session whose every statement is two acts: it is sent, and it is answered."""
    session: Any = warehouse.session(name)
    if hasattr(session, "_cursor"):
        session._cursor = _DuckDBCursor(session._cursor, acts)
    else:

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, *arguments: Any, **more: Any) -> Any:
                return acts.around(super().execute, *arguments, **more)

        session._connection.cursor_factory = Cursor
    with contextlib.closing(session):
        yield session


class _DuckDBCursor:
    def __init__(self, cursor: Any, acts: _Acts) -> None:
        self._real, self._acts = cursor, acts

    def execute(self, *arguments: Any) -> Any:
        return self._acts.around(self._real.execute, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _answer(session: WarehouseSession, question: str) -> list[list[str]]:
    with contextlib.suppress(WarehouseError):
        return sorted([*map(str, row)] for row in session.query(question)[1])
    return []


def _state(session: WarehouseSession) -> dict[str, Any]:
    there = {
        f"{schema}.{name}"
        for schema, name in session.query(
            "select table_schema, table_name from information_schema.tables"
        )[1]
    }
    table, stored = (
        _rows(session, name) if name in there else None for name in ("s.t", "s.failures_c")
    )
    records = []
    columns = session.query(
        "select column_name from information_schema.columns where table_name = 'commits'"
    )[1]
    if {name for (name,) in columns}.issuperset(RECORD):  # else it is not ready for any build
        sql = f"select {', '.join(RECORD)} from dagster_models.commits where step = 's.t'"
        records = [list(row) for row in session.query(f"{sql} order by attempt, part")[1]]
    return {"table": table, "records": records, "stored": stored}


def _rows(session: WarehouseSession, table: str) -> list[dict[str, str | None]]:
    names, rows = session.query(f"select * from {table}")
    found = [
        {name: None if it is None else str(it) for name, it in zip(names, row, strict=True)}
        for row in rows
    ]
    return sorted(found, key=lambda row: str(sorted(row.items())))


if __name__ == "__main__":
    main()
