"""What a session of Spark knows of the relations: whatever others do, and with few statements."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.model import Relation
from dagster_models.warehouses.spark import location as locations
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark.location import DeltaFolder
from dagster_models.warehouses.spark.server import Server
from systems import T, create, session_of
from tasks import sql_task


@pytest.fixture
def other(settings: dict[str, Any]) -> Iterator[spark.SparkSession]:
    """That of another process."""
    warehouse = spark.connect({**settings, "user": "other"})
    with contextlib.closing(warehouse), session_of(warehouse) as session:
        session.prepare(["s"])
        yield session


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that any server was sent, but for questions."""
    found: list[str] = []
    command = Server.command

    def noted(server: Server, sql: str, *more: Any) -> None:
        found.append(sql)
        command(server, sql, *more)

    monkeypatch.setattr(Server, "command", noted)
    return found


def test_a_relation_is_shown_once_after_its_publication(
    warehouse: spark.Spark, session: spark.SparkSession, sent: list[str], way: str
) -> None:
    create(session, "table", "select 1 as n")
    sent.clear()
    create(session, "table", "select 2 as n")
    with session_of(warehouse) as another:
        for reader in (session, another):
            assert reader.query("select n from s.t")[1] == [(2,)]
    shown = [" ".join(it.split()[:3]) for it in sent if "dagster_models_files" in it]
    # Each version of an Iceberg table is another folder.
    assert shown == [*["CREATE TABLE IF"] * (way == "iceberg"), "CREATE OR REPLACE"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_publication_at_the_same_moment_is_shown(
    session: spark.SparkSession,
    other: spark.SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Another process publishes when this one has, before or after it looks for what to show."""
    stamp = session.location.stamp

    def overtaken(relation: Relation) -> object:
        monkeypatch.undo()
        before = stamp(relation) if when == "after" else None
        create(other, "table", "select 1 as n, 'theirs' as more")
        return before or stamp(relation)

    monkeypatch.setattr(session.location, "stamp", overtaken)
    create(session, "table", "select 1 as n")
    assert session.query("select n, more from s.t")[1] == [(1, "theirs")]
    create(other, "table", "select 2 as n, 'later' as last")
    assert session.query("select n, last from s.t")[1] == [(2, "later")]


def test_a_publication_in_the_same_tick_of_the_file_systems_clock_is_shown(
    session: spark.SparkSession,
    other: spark.SparkSession,
    location: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "iceberg":
        pytest.skip("no time counts there")
    monkeypatch.setattr(locations, "monotonic", lambda: 0.0)  # however slow Spark is
    log_folder = Path(location, "s/t/_delta_log")
    create(session, "table", "select 1 as n")
    tick = log_folder.stat()
    session.query("select 1")
    create(other, "table", "select 2 as n, 'new' as more")
    os.utime(log_folder, ns=(tick.st_atime_ns, tick.st_mtime_ns))
    assert session.query("select n, more from s.t")[1] == [(2, "new")]


def test_a_table_that_was_dropped_and_built_again_by_others_is_shown(
    session: spark.SparkSession, other: spark.SparkSession
) -> None:
    create(session, "table", "select 1 as n")
    session.query("select n from s.t")
    (commit,) = other.last_proofs([T])
    other.drop(T, commit.builder)
    assert session.there([T]) == []
    create(other, "table", "select 'again' as word")
    assert session.query("select word from s.t")[1] == [("again",)]
    create(other, "view", "select 'a view' as word")
    assert session.query("select word from s.t")[1] == [("a view",)]


def test_a_table_of_files_that_somebody_has_dropped_is_made_again(
    session: spark.SparkSession,
) -> None:
    create(session, "table", "select 1 as n")
    for what in ("table", "view", "table"):
        for row in session.query("show tables in dagster_models_files")[1]:
            session.execute(f"drop table dagster_models_files.`{row[1]}`")
        create(session, what, f"select '{what}' as n")
        assert session.query("select n from s.t")[1] == [(what,)]


#: One column of each, in a struct, an array and a map, too.
TYPES = {
    "tiny": "cast(1 as tinyint)",
    "small": "cast(1 as smallint)",
    "whole": "1",
    "big": "1L",
    "real": "cast(1 as float)",
    "double": "1.5d",
    "exact": "cast(1 as decimal(38, 10))",
    "word": "'a'",
    "short": "cast('a' as varchar(3))",
    "letters": "cast('a' as char(3))",
    "bytes": "x'ff'",
    "yes": "true",
    "day": "date'2024-01-01'",
    "moment": "timestamp'2024-01-01 00:00:00'",
    "local": "timestamp_ntz'2024-01-01 00:00:00'",
}


def test_the_columns_of_a_stage_are_what_the_server_says_of_it(
    session: spark.SparkSession, way: str
) -> None:
    columns = [f"{sql} as `{name}`" for name, sql in TYPES.items()]
    columns += [f"array({sql}) as `{name}_list`" for name, sql in TYPES.items()]
    columns += [f"map('k', {sql}) as `{name}_map`" for name, sql in TYPES.items()]
    deep = "ab" if way == "apache" else "a b"  # Delta there refuses the name
    fields = ", ".join(f"'{name}', {sql}" for name, sql in TYPES.items())
    columns += [f"named_struct({fields}) as together", f"array(named_struct('{deep}', 1)) as deep"]
    staged = session.build(sql_task("s.t", f"select {', '.join(columns)}"))
    asked = session.server.columns(f"select * from {session.name_of(staged)}")
    assert session.columns(T) == tuple(asked)
    assert len(asked) == 3 * len(TYPES) + 2


def test_no_commit_has_the_stamp_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a log on a file system whose clock ticks each second, in a random history of commits and
    looks. Of an old log the versions are not listed at each look."""
    log_folder = tmp_path / "s/t/_delta_log"
    log_folder.mkdir(parents=True)
    folder, chance, now, version, listed = DeltaFolder(str(tmp_path)), random.Random(7), 0.0, 0, 0
    last_version = locations.last_version

    def counted(path: str) -> int:
        nonlocal listed
        listed += 1
        return last_version(path)

    monkeypatch.setattr(locations, "last_version", counted)
    monkeypatch.setattr(locations, "monotonic", lambda: now)

    def commit() -> None:
        nonlocal version
        (log_folder / f"{version:020d}.json").touch()
        version += 1
        os.utime(log_folder, (int(now), int(now)))

    commit()
    stamp = folder.stamp(T)
    for _ in range(400):
        now += chance.choice([0, 0.001, 0.3, 1, 4, 60])
        commits = chance.choice([0, 0, 1, 2])
        for _ in range(commits):
            commit()
        before, stamp = stamp, folder.stamp(T)
        assert (stamp != before) == bool(commits)
        assert folder.stamps() == {("s", "t"): stamp}
    now, listed = now + 60, 0
    assert {folder.stamp(T) for _ in range(9)} == {stamp}
    assert listed == 1
