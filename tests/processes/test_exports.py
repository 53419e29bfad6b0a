"""A reader of an export finds the files of the last build or of the one before, at any time."""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.extras import Export, Extras
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.errors import ErrorKind
from dagster_models.processes import exports
from dagster_models.processes.server import export_files
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from kill_points import run_program
from systems import System, session_of
from tasks import relation_of, sql_task

Build = Callable[..., Outcome]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(str(tmp_path / "out" / "t"), owner="s.t of p")


@pytest.fixture
def build(session: WarehouseSession) -> Build:
    attempt = 0

    def build(sql: str, export: Export, **more: Any) -> Outcome:
        nonlocal attempt
        attempt += 1
        task = sql_task("s.t", sql, attempt=attempt, extras=Extras(export=export))
        return run(session, replace(task, **more), Stop())

    return build


def rows(export: Export) -> list[tuple[Any, ...]]:
    """What a reader finds, by DuckDB's own reader."""
    reader = {"parquet": "read_parquet", "csv": "read_csv"}[export.format]
    found = duckdb.sql(f"from {reader}('{export.path}/**/*.{export.format}')").fetchall()
    return sorted(found, key=str)


def there(export: Export) -> list[str]:
    return sorted(os.listdir(os.path.dirname(export.path)))


@pytest.mark.every_warehouse
@pytest.mark.parametrize("format_", ["parquet", "csv"])
@pytest.mark.parametrize("view", [False, True])
def test_rows_are_written_and_replaced(
    session: WarehouseSession, export: Export, format_: str, view: bool
) -> None:
    export = replace(export, format=format_)
    for attempt in (1, 2, 3):
        sql = f"select {attempt} as a, 'x, \"y\"' as b union all select 7, null"
        task = sql_task("s.t", sql, attempt=attempt, view=view, extras=Extras(export=export))
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error
        assert outcome.exported is not None
        assert (outcome.exported.rows, outcome.exported.files) == (2, 1)
        (name,) = set(os.listdir(export.path)) - {exports.MARK}
        assert outcome.exported.bytes == os.path.getsize(f"{export.path}/{name}")
        assert rows(export) == sorted([(attempt, 'x, "y"'), (7, None)], key=str)
    assert there(export) == [".t.r.2", ".t.r.3", "t"]


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_a_path_with_the_ending_of_its_format_is_one_file(
    session: WarehouseSession, build: Build, export: Export, format_: str
) -> None:
    """Whoever reads it needs to know nothing of folders; its links are switched as those of one."""
    file = replace(export, format=format_, path=f"{export.path}.{format_.upper()}")
    reader = {"parquet": "read_parquet", "csv": "read_csv"}[format_]
    for number in (1, 2, 3):
        outcome = build(f"select {number} as a", file)
        assert outcome.error is None, outcome.error
        assert os.path.isfile(file.path)
        assert duckdb.sql(f"from {reader}('{file.path}')").fetchall() == [(number,)]
    name = os.path.basename(file.path)
    assert there(file) == [f".{name}.r.2", f".{name}.r.3", name]
    # The path of another export begins as this one's does: what each has written stays.
    for number in (4, 5, 6):
        assert build(f"select {number} as a", replace(file, path=export.path)).error is None
    assert duckdb.sql(f"from {reader}('{file.path}')").fetchall() == [(3,)]
    # As an older version has left it: a folder of that name, which is linked.
    os.unlink(file.path)
    os.symlink(f".{name}.r.3", file.path)
    assert build("select 7 as a", file).error is None
    assert duckdb.sql(f"from {reader}('{file.path}')").fetchall() == [(7,)]
    Path(file.path).unlink()
    Path(file.path).write_text("x")
    refused = build("select 8 as a", file).error
    assert refused is not None
    assert "was not made by an export" in refused.message


def test_partitions(session: WarehouseSession, build: Build, export: Export) -> None:
    export = replace(export, partition_by=("DAY", "k"))
    given = (
        "select cast('2024-01-01' as date) as day, 'a/../b' as k, 1 as n"
        " union all select cast('2024-01-02' as date), 'c d', 2"
        " union all select cast('2024-01-01' as date), 'a/../b', 3"
        " union all select cast('2024-01-02' as date), null, 4"
    )
    outcome = build(given, export)
    assert outcome.error is None, outcome.error
    assert outcome.exported is not None
    assert (outcome.exported.rows, outcome.exported.files) == (4, 3)
    assert {"day=2024-01-01", "day=2024-01-02"} <= set(os.listdir(export.path))
    table = pyarrow.dataset.dataset(export.path, partitioning="hive").to_table()
    assert sorted(table.column("n").to_pylist()) == [1, 2, 3, 4]
    by_n = {row["n"]: (row["day"], row["k"]) for row in table.to_pylist()}
    assert by_n[1] == by_n[3] == ("2024-01-01", "a/../b")
    assert by_n[4] == ("2024-01-02", None)
    # What is gone is gone.
    outcome = build("select cast('2024-01-03' as date) as day, 'e' as k, 5 as n", export)
    assert outcome.error is None
    assert [name for name in os.listdir(export.path) if "=" in name] == ["day=2024-01-03"]


def test_no_rows(build: Build, export: Export) -> None:
    assert build("select 1 as a where 1 = 0", export).error is None
    assert rows(export) == []
    parted = replace(export, partition_by=("a",))
    outcome = build("select 1 as a, 2 as b where 1 = 0", parted)
    assert outcome.error is None
    assert os.listdir(export.path) == [exports.MARK]


@pytest.mark.parametrize("fails", ["check", "query", "commit", "column"])
def test_a_build_that_fails_leaves_the_files_of_the_one_before(
    session: WarehouseSession, build: Build, export: Export, fails: str
) -> None:
    assert build("select 1 as a", export).error is None
    sql, more = "select 2 as a, 3 as b", {}
    if fails == "check":
        more["checks"] = (CheckTask("c", "select 1 as bad"),)
    elif fails == "query":
        sql = "select nothing as a"
    elif fails == "column":
        export = replace(export, partition_by=("zz",))
    else:
        session.execute("create table s.log (i int)")

        def refuse(*_: Any) -> None:
            session.execute("select * from s.nowhere")

        session.write_record = refuse  # type: ignore[attr-defined]
    outcome = build(sql, export, **more)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.exported is None
    assert rows(export) == [(1,)]
    assert there(export) == [".t.r.1", "t"]


@pytest.mark.parametrize("full", ["arrow", "file"])
def test_a_full_disk(
    build: Build, export: Export, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build("select 1 as a", export).error is None

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if full == "arrow":
        monkeypatch.setattr(bulk._Sink, "write", no_space)
    else:
        monkeypatch.setattr(export_files, "_write", no_space)
    outcome = build("select 2 as a", export)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.IO
    assert "No space left" in outcome.error.message or "no room" in outcome.error.message
    assert rows(export) == [(1,)]
    assert there(export) == [".t.r.1", "t"]


@pytest.mark.parametrize("what", ["folder", "file", "link", "other"])
def test_what_is_not_ours_is_refused(
    session: WarehouseSession, build: Build, export: Export, tmp_path: Path, what: str
) -> None:
    path = Path(export.path)
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
        (path / "precious.parquet").write_text("x")
    elif what == "file":
        path.write_text("x")
    elif what == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        assert build("select 1 as a", replace(export, owner="s.t of p on prod")).error is None
    before = there(export)
    outcome = build("select 2 as a", export)
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.NOT_KEPT
    assert "Nothing was changed: move it away" in outcome.error.message
    assert there(export) == before
    if what == "other":
        assert "s.t of p on prod" in outcome.error.message
        assert session.execute("select a from s.t") == [(1,)]


def test_two_exports_beside_each_other(build: Build, export: Export) -> None:
    other = replace(export, path=f"{export.path}.r", owner="other")
    for number in (1, 2, 3):
        assert build(f"select {number} as a", export).error is None
        assert build(f"select {number + 10} as a", other).error is None
    assert (rows(export), rows(other)) == ([(3,)], [(13,)])


def test_the_link_goes_to_what_was_committed_last(
    session: WarehouseSession, build: Build, export: Export
) -> None:
    """Of two runs, the one that committed first may come to its link last."""
    assert build("select 1 as a", export).error is None
    late: list[Any] = []
    settle = exports.settle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "settle", lambda *given: late.append(given) or "")
        assert build("select 2 as a", export).error is None
    assert rows(export) == [(1,)]
    assert build("select 3 as a", export).error is None
    assert rows(export) == [(3,)]
    assert settle(*late[0]) == ""
    assert rows(export) == [(3,)]
    assert there(export) == [".t.r.2", ".t.r.3", "t"]


def test_batches_of_partitions(session: WarehouseSession, build: Build, export: Export) -> None:
    """Files are written with the last of the transactions, of all rows."""
    days = [dt.datetime(2024, 1, day, tzinfo=dt.timezone.utc) for day in range(1, 5)]
    windows = [Partition(str(a.date()), TimeWindow(a, b)) for a, b in pairwise(days)]
    how = Incremental("replace", partitioned=Partitioned("d", tuple(windows), 1))
    sql = " union all ".join(
        f"select cast('{it.key}' as date) as d, {at} as n" for at, it in enumerate(windows)
    )
    outcome = build(sql, export, materialization=how)
    assert outcome.error is None, outcome.error
    assert outcome.exported is not None
    assert outcome.exported.rows == 3
    assert sorted(n for _, n in rows(export)) == [0, 1, 2]
    # What is written along with a transaction that is not committed is not shown, although an
    # earlier one of the same attempt was.
    begun = 0
    commit = session.commit

    def fails_at_last() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            raise KeyboardInterrupt
        commit()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "commit", fails_at_last)
        patch.setattr(export_files, "discard", lambda task: None)  # as if killed
        with pytest.raises(KeyboardInterrupt):
            build(sql.replace(" as n", " + 10 as n"), export, materialization=how)
    assert len(there(export)) == 3
    assert exports.settle(session, relation_of("s.t"), export) == ""
    assert sorted(n for _, n in rows(export)) == [0, 1, 2]


def test_a_link_that_cannot_be_switched_is_noted(
    build: Build, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build("select 1 as a", export).error is None

    def refuse(*_: Any) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", refuse)
        outcome = build("select 2 as a", export)
    assert outcome.verdict is Verdict.COMMITTED
    (note,) = outcome.notes
    assert "still shows older rows: [Errno 13] Permission denied" in note
    assert rows(export) == [(1,)]
    assert build("select 3 as a", export).error is None
    assert rows(export) == [(3,)]


def test_a_reader_never_finds_half(system: System, build: Build, export: Export) -> None:
    """Before each step of a build, a reader finds all of one of them."""
    seen: list[Any] = []

    def look() -> None:
        if os.path.exists(export.path):
            seen.append(rows(export))

    points = {
        (os, "mkdir"), (os, "symlink"), (os, "replace"), (os, "fsync"), (os, "unlink"),
        (export_files, "_write"),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for holder, name in points:
            real = getattr(holder, name)

            def acting(*given: Any, real: Any = real, **more: Any) -> Any:
                look()
                return real(*given, **more)

            patch.setattr(holder, name, acting)
        for number in (1, 2, 3):
            sql = f"select {number} as a from {system.rows_of(3)}"
            assert build(sql, export).error is None
            assert rows(export) == [(number,)] * 3
    assert {tuple(found) for found in seen} == {((n,),) * 3 for n in (1, 2, 3)}


#: Kills itself before the act of that number.
PROGRAM = """
import json, os, sys
from dagster_models.core.extras import Export, Extras
from dagster_models.processes import exports
from dagster_models.processes.server import export_files
from dagster_models.processes.server.attempt import Stop, run
from kill_points import Acts
from systems import System, session_of
from tasks import sql_task

name, settings, path, number, last = json.loads(sys.argv[1])
with session_of(System(name, settings, "", "").open()) as session:
    acts = Acts(last)
    acts.count(session, "replace_table", "export", "write_record", "commit", "last_proofs")
    acts.count(os, "mkdir", "symlink", "replace")
    acts.count(exports, "_prune")
    acts.count(export_files, "_write")
    acts.count(json, "dump")
    export = Export(path, partition_by=("k",), owner="s.t of p")
    sql = f"select 1 as k, {number} as a union all select 2, {number}"
    task = sql_task("s.t", sql, run_id=f"run {number}", extras=Extras(export=export))
    print(run(session, task, Stop()).verdict.value)
"""


@pytest.mark.nightly_for("postgres")
def test_a_kill_before_each_act(system: System, export: Export) -> None:
    export = replace(export, partition_by=("k",))
    warehouse = system.open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
    warehouse.close()
    kills = after_commit = 0
    linked: list[tuple[int, int]] = []
    for last in (0, *range(1, 50)):  # one is whole
        child = run_program(PROGRAM, system.name, system.settings, export.path, last, last)
        found = _found(export)
        warehouse = system.open()
        with session_of(warehouse) as session:
            table = _table(session)
            assert found in (table, linked), (last, found, table)
            after_commit += bool(table) and found != table
            # The start of the next run.
            assert exports.settle(session, relation_of("s.t"), export) == ""
            linked = _found(export)
            assert linked == table
        warehouse.close()
        if child.returncode == 0 and last > 0:
            assert child.stdout.strip() == "committed", child.stdout + child.stderr
            break
        assert child.returncode == (-9 if last else 0), child.stderr
        kills += 1
    assert kills > 8
    assert after_commit >= 2
    left = [name for name in there(export) if name != "t"]
    assert len(left) <= export.keep, left


def _found(export: Export) -> list[tuple[int, int]]:
    if not os.path.exists(export.path):
        return []
    table = pyarrow.dataset.dataset(export.path, partitioning="hive").to_table()
    return sorted((row["k"], row["a"]) for row in table.to_pylist())


def _table(session: WarehouseSession) -> list[tuple[int, int]]:
    tables = session.query(
        "select table_name from information_schema.tables where table_schema = 's'"
    )[1]
    return sorted(session.query("select k, a from s.t")[1]) if tables else []
