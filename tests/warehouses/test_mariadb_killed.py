"""MariaDB's client or server is killed at any moment: what is said of an attempt is what happened.

The oracle is the relation itself, read by a connection of somebody else's: the rows of each attempt
hold its number. Set DAGSTER_MODELS_MARIADB_KILLS to the number of kills.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mariadb_writer
from dagster_models.core.tasks import AttemptId
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.mariadb import session as mariadb
from killed_writers import Start, kill_at_random, writers
from mariadb_server import MariaServer, start_mariadb, why_no_mariadb
from mariadb_writer import OPEN_VERSIONS, ROWS, T
from served import served
from tasks import sql_task

KILLS = int(os.environ.get("DAGSTER_MODELS_MARIADB_KILLS", "200"))
_SECONDS = 60


@pytest.fixture
def server() -> Iterator[MariaServer]:
    """One of its own, as it is killed."""
    yield from served(why_no_mariadb(), start_mariadb)


@pytest.fixture
def start(server: MariaServer, tmp_path: Path) -> Iterator[Start]:
    """Starts a writer; in the end all of them are killed."""
    with writers(mariadb_writer.__file__, tmp_path) as start:
        yield lambda first, dies="", how="": start(server.settings, first, dies, how)


def shown(server: MariaServer) -> int:
    """The attempt whose rows everybody reads, 0 if there is no relation; all of them, or none."""
    there = "select count(*) from information_schema.tables where table_schema = 's'"
    if server.rows(f"{there} and table_name = 't'") == [(0,)]:
        return 0
    columns = server.rows(f"{there.replace('tables', 'columns')} and column_name = 'valid_to'")
    if columns == [(1,)]:
        return _of_open_versions(server)
    first, last, count = server.rows("select min(n), max(n), count(*) from s.t")[0]
    assert (first, count) == (last, ROWS)
    return int(first)


def _of_open_versions(server: MariaServer) -> int:
    """Each build has ended all versions of the one before it, and begun as many."""
    builds, versions, open_, newest = server.rows(
        "select count(distinct n), count(*), count(*) - count(valid_to), max(n) from s.t"
    )[0]
    assert (versions, open_) == (builds * OPEN_VERSIONS, OPEN_VERSIONS)
    follows = "lead(valid_from) over (partition by seq order by n) as follows"
    ended = f"select count(*) from (select valid_to, {follows} from s.t) as v"
    assert server.rows(f"{ended} where not (valid_to <=> follows)") == [(0,)]
    return int(newest)


def disagreements(server: MariaServer, said: list[int], first: int) -> tuple[list[str], int, int]:
    """What a new process says of the attempts from *first* on, where the table or the writer says
    otherwise; how many attempts were in doubt; and the number of the next one."""
    found, doubted, acked = [], 0, [it for it in said if it > 0]
    with contextlib.closing(mariadb.connect(server.settings).session("settles")) as session:
        if not session.fence(f"writer-{first}", 10, T):
            found.append("the session does not end")
        newest = shown(server)
        last = max([first - 1, newest, *acked])
        proved = []
        for attempt in range(first, last + 3):
            proof = find_proof(session, T, AttemptId("killed", "s.t", attempt))
            proved += [attempt] if proof is not None else []
            doubted += attempt not in said and -attempt not in said
            if attempt in acked and proof is None:
                found.append(f"{attempt} was acknowledged and has no proof")
            if -attempt in said and proof is not None:
                found.append(f"{attempt} was reported as not published, and has a proof")
        # Each attempt publishes after the one before it: the last proof is what is read.
        if proved and (proved[-1] != newest or len(proved) > len(acked) + 1):
            found.append(f"{proved} are proved, {acked} acknowledged, and {newest} is read")
        if not proved and newest >= first:
            found.append(f"{newest} is read without a proof")
        session.prepare(["s"])  # it settles and removes what was left
        again = [it for it in range(first, last + 3) if _is_proved(session, it)]
        if again != proved:
            found.append(f"{proved} were proved, and now {again}")
    left = server.rows(
        "select concat(table_schema, '.', table_name) from information_schema.tables"
        " where table_schema like 'dagster\\_models%' or table_name like 'dagster\\_models%'"
    )
    if left != [("dagster_models.commits",)]:
        found.append(f"{left} was left")
    return found, doubted, last + 3


def _is_proved(session: Any, attempt: int) -> bool:
    return find_proof(session, T, AttemptId("killed", "s.t", attempt)) is not None


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["", "delete+insert", "merge", "snapshot"])
def test_kills_at_random_moments(server: MariaServer, start: Start, how: str) -> None:
    begin, settle = partial(start, how=how), partial(disagreements, server)
    kill_at_random(server, begin, KILLS if not how else KILLS // 4, f"mariadb {how}", settle)


@pytest.mark.nightly
@pytest.mark.parametrize(("dies", "published"), [("before_swap", []), ("after_swap", [1])])
def test_a_kill_beside_the_act(
    server: MariaServer, start: Start, dies: str, published: list[int]
) -> None:
    writer = start(1, dies)
    writer.wait_for_the_end()
    assert writer.lines() == ["ready"]
    assert [shown(server)] == (published or [0])
    assert disagreements(server, [], 1)[0] == []


@pytest.mark.nightly
def test_an_orphan_of_a_killed_client_publishes_nothing(server: MariaServer, start: Start) -> None:
    """Its statement goes on, on the server, until whoever settles ends it."""
    with contextlib.closing(mariadb.connect(server.settings).session()) as session:
        session.prepare(["s"])
        assert run(session, sql_task("s.t", "select 'old' as n"), Stop()).error is None
        orphan = (
            "import os, sys, pymysql;"
            "from dagster_models.warehouses.mariadb.session import connect;"
            f"s = connect({server.settings!r}).session('orphan');"
            "print('ready', flush=True);"
            "s.change('create table s.o as select count(*) as n from s.seq_1_to_1000000 a,"
            " s.seq_1_to_1000000 b where crc32(a.seq * b.seq) = 7')"
        )
        with subprocess.Popen([sys.executable, "-c", orphan], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            running = "select count(*) from information_schema.processlist where info like"
            end = time.monotonic() + _SECONDS
            while server.rows(f"{running} 'create table s.o as%'") == [(0,)]:
                assert time.monotonic() < end
            child.kill()
        assert server.rows(f"{running} 'create table s.o as%'") == [(1,)]
        assert session.fence("orphan", 10)
        assert server.rows(f"{running} 'create table s.o as%'") == [(0,)]
        assert shown_tables(server) == {"t"}


def shown_tables(server: MariaServer) -> set[str]:
    rows = server.rows("select table_name from information_schema.tables where table_schema = 's'")
    return {name for (name,) in rows}
