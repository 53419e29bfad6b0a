"""What only MariaDB does: a RENAME that publishes, with the proof, on a real server."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dagster_models.core.extras import Extras, Index
from dagster_models.core.materializations import View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.mariadb import connect as connecting
from dagster_models.warehouses.mariadb import records, staging, text
from dagster_models.warehouses.mariadb import session as mariadb
from dagster_models.warehouses.mariadb.errors import convert
from dagster_models.warehouses.mariadb.target import MARIADB
from mariadb_server import MariaServer, left_on, start_mariadb
from systems import System, T, create, given_up, mariadb_system, session_of
from tasks import sql_task

nightly = pytest.mark.nightly
TASK = sql_task("s.t", "select 'new' as n", builder="b")


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


# The act -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_session_that_is_lost_at_the_act_is_settled_by_the_proof(
    mariadb: MariaServer,
    system: System,
    session: mariadb.MariaSession,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    create(session, "table", "select 'old' as n")
    change = type(session).change

    def cut(self: Any, sql: str, *arguments: int) -> int:
        if not sql.startswith("RENAME"):
            return int(change(self, sql, *arguments))
        if moment == "after":
            change(self, sql, *arguments)
        mariadb.rows(f"kill connection {self._connection.thread_id()}")
        return int(change(self, "select 1"))

    monkeypatch.setattr(type(session), "change", cut)
    made = moment == "after"
    if made:
        assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    else:
        with pytest.raises(WarehouseLost):
            run(session, TASK, Stop())
    monkeypatch.undo()
    assert mariadb.rows("select n from s.t") == [("new" if made else "old",)]
    session.close()
    with session_of(system.open()) as other:
        other.prepare(["s"])
        assert (find_proof(other, T, TASK.id) is not None) is made
    assert left_on(mariadb) == []


@nightly
def test_a_proof_counts_before_the_record_says_so_itself(
    mariadb: MariaServer,
    system: System,
    session: mariadb.MariaSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: object) -> None:
        raise WarehouseLost(ErrorKind.LOST, "the server is gone")

    monkeypatch.setattr(records, "settle", gone)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    monkeypatch.undo()
    assert mariadb.rows("select is_published from dagster_models.commits") == [(0,)]
    assert find_proof(session, T, TASK.id) is not None
    session.close()
    with session_of(system.open()) as other:
        other.prepare(["s"])
        assert mariadb.rows("select is_published from dagster_models.commits") == [(1,)]
        assert left_on(mariadb) == []
        assert find_proof(other, T, TASK.id) is not None


def test_a_session_that_was_given_up_cannot_publish(
    warehouse: mariadb.MariaDB, session: mariadb.MariaSession
) -> None:
    """The process that settles does not have it: it may be on another machine, and alive."""
    create(session, "table", "select 'old' as n")
    with given_up(warehouse, session, TASK) as (lost, staged):
        with pytest.raises(WarehouseLost):
            lost.publish(staged, commits_of(TASK, staged))
        assert find_proof(session, T, TASK.id) is None
    assert session.query("select n from s.t")[1] == [("old",)]
    assert run(session, replace(TASK, attempt=2), Stop()).verdict is Verdict.COMMITTED


@nightly
def test_a_session_that_does_not_end_is_not_said_to_have(
    warehouse: mariadb.MariaDB, session: mariadb.MariaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(warehouse.session("lost")):
        monkeypatch.setattr(type(session), "change", lambda *_: 0)
        assert not session.fence("lost", 0.2, T)


@nightly
def test_a_record_without_its_proof_gives_way_to_the_same_attempt(
    mariadb: MariaServer, warehouse: mariadb.MariaDB, session: mariadb.MariaSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As when the first pod of a run dies before it has published, and a second one resumes."""

    def gone(*_: object) -> None:
        raise WarehouseLost(ErrorKind.LOST, "the server is gone")

    other = warehouse.session("first")
    monkeypatch.setattr(staging, "swap", gone)
    staged = other.build(TASK)
    with pytest.raises(WarehouseLost):
        other.publish(staged, commits_of(TASK, staged))
    monkeypatch.undo()
    assert run(session, TASK, Stop()).verdict is Verdict.ROLLED_BACK  # the first one still lives
    other.close()
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert len(session.find_proofs(T)) == 1


@nightly
def test_a_reader_delays_the_act_and_nothing_is_published_after_the_timeout(
    mariadb: MariaServer, session: mariadb.MariaSession
) -> None:
    create(session, "table", "select 'old' as n")
    with contextlib.closing(mariadb.connect()) as reader, reader.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("select n from s.t")
        outcome = run(session, TASK, Stop())
        assert outcome.error is not None
        assert (outcome.error.kind, outcome.error.transient) == (ErrorKind.LOCK_TIMEOUT, True)
        assert session.query("select n from s.t")[1] == [("old",)]
    assert left_on(mariadb) == []
    assert find_proof(session, T, TASK.id) is None
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED


@nightly
def test_a_view_a_table_and_their_leftovers(
    mariadb: MariaServer, session: mariadb.MariaSession
) -> None:
    for attempt, how in enumerate((View(), TASK.materialization, View(), View())):
        task = replace(TASK, attempt=attempt + 1, materialization=how)
        assert run(session, task, Stop()).verdict is Verdict.COMMITTED
        assert left_on(mariadb) == []
    (built,) = session.built_by("b")
    assert (built.is_view, built.kept) == (True, "")
    session.execute("create or replace view s.t as select 'theirs' as n")
    assert session.built_by("b")[0].kept == "somebody else has replaced it since"
    session.execute("create view s.other as select 1 as n; drop view s.t")
    assert session.built_by("b") == []


@nightly
def test_what_hangs_on_a_table_is_not_lost(session: mariadb.MariaSession) -> None:
    session.execute("create table s.t (n int primary key) engine = innodb")
    session.execute("create table s.child (n int, foreign key (n) references s.t (n))")
    error = run(session, TASK, Stop()).error
    assert error is not None
    assert (error.kind, "s.child refers to it" in error.message) == (ErrorKind.NOT_KEPT, True)
    session.execute("drop table s.child; create trigger s.x before insert on s.t for each row"
                    " set new.n = 1")  # fmt: skip
    error = run(session, TASK, Stop()).error
    assert error is not None
    assert "the trigger x is on it" in error.message
    session.execute("drop trigger s.x; drop table s.t;"
                    " create table s.t (n int) with system versioning")  # fmt: skip
    error = run(session, TASK, Stop()).error
    assert error is not None
    assert "is a system versioned" in error.message


@nightly
def test_a_relation_is_dropped_unless_somebody_else_has_written_to_it(
    session: mariadb.MariaSession,
) -> None:
    run(session, TASK, Stop())
    session.execute("insert into s.t values ('xyz')")
    with pytest.raises(WarehouseError, match="is kept: it has 2 rows, and 1 were published"):
        session.drop(T, "b")
    run(session, replace(TASK, attempt=2), Stop())
    session.execute("create view s.v as select n from s.t")
    with pytest.raises(WarehouseError, match=r"the view s\.v reads it"):
        session.drop(T, "b")
    session.execute("drop view s.v")
    session.drop(T, "b")
    assert session.there([T]) == []


@nightly
def test_indexes_of_the_header_are_made(session: mariadb.MariaSession) -> None:
    extras = Extras(indexes=(Index(("n",), unique=True), Index(("m", "n"), name="both")))
    task = replace(TASK, content=Query("select 1 as n, 2 as m"), extras=extras)
    for attempt in (1, 2):
        assert run(session, replace(task, attempt=attempt), Stop()).error is None
        rows = session.rows("select index_name, non_unique, column_name"
                            " from information_schema.statistics where table_schema = 's'"
                            " order by 1, seq_in_index")  # fmt: skip
        assert rows == [("both", 1, "m"), ("both", 1, "n"), ("on_n", 0, "n")]
    two = replace(task, attempt=3, content=Query("select 1 as n, 2 as m union all select 1, 3"))
    error = run(session, two, Stop()).error
    assert error is not None
    assert error.kind is ErrorKind.CONSTRAINT


# FLOAT -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "select x, n from s.f order by n desc",
        "with c as (select * from s.f) select x, n from c order by n desc limit 300",
        "with c as (select * from s.f limit 999) select x, n from c order by n desc",
        "(select x, n from s.f where n > 100) union all (select x, n from s.f where n <= 100)"
        " order by n desc -- the last line",
    ],
)
def test_a_float_has_all_its_digits_and_its_rows_their_order(
    session: mariadb.MariaSession, tmp_path: Path, query: str
) -> None:
    """The server writes six digits of it."""
    session.execute("create table s.f (x float, n int)")
    session.execute("insert into s.f select seq / 7 * 1000000, seq from s.seq_1_to_300")
    expected = [(float(np.float32(np.float32(n * 1_000_000 / 7))), n) for n in range(300, 0, -1)]
    assert session.query(query) == (["x", "n"], expected)
    path, _ = session.export(query, [str(tmp_path)])
    with bulk.mapped(path) as table:
        assert [tuple(row.values()) for row in table.to_pylist()] == expected
    with pytest.raises(WarehouseError, match="two columns have one name, and one is a FLOAT"):
        session.query("select x, n as x from s.f")


# What is refused ---------------------------------------------------------------------------------


@nightly
def test_what_it_cannot_do_is_refused(session: mariadb.MariaSession) -> None:
    comments = replace(TASK, extras=Extras(comment="words"))
    error = run(session, comments, Stop()).error
    assert error is not None
    assert error.kind is ErrorKind.UNSUPPORTED
    for name in ("n" * 65, "😀", "a "):
        with pytest.raises(WarehouseError, match="cannot be a name"):
            create(session, "table", "select 1 as n", Relation("s", name))
    for name in ("n" * 64, "a`b", 'a"b', "a.b", "Ж名", "a/b", "T"):
        create(session, "table", "select 1 as n", Relation("s", name))
        assert session.there([Relation("s", name)]) == [Relation("s", name)]
    assert session.there([T]) == []  # T is another one


def test_the_load_reports_the_columns_that_the_server_refuses(
    session: mariadb.MariaSession,
) -> None:
    why_not = MARIADB.why_no_column
    assert why_not is not None
    for name in ("n" * 64, "Ж" * 64, "n" * 65, "😀", "a "):
        refuses = pytest.raises(WarehouseError) if why_not(name) else contextlib.nullcontext()
        with refuses:
            create(session, "table", f"select 1 as `{name}`", T)
    assert [why_not(name) for name in ("n" * 64, "Ж" * 64)] == ["", ""]


@nightly
def test_a_statement_that_would_commit_the_users_transaction(
    mariadb: MariaServer, session: mariadb.MariaSession
) -> None:
    session.execute("create table s.a (n int); create temporary table s.b (n int)")
    session.begin()
    session.execute("insert into s.a values (1)")
    with pytest.raises(WarehouseError, match="CREATE would commit the open transaction"):
        session.execute("create table s.c (n int)")
    session.execute("create temporary table s.c (n int)")
    assert session.in_transaction
    session.rollback()
    assert mariadb.rows("select count(*) from s.a") == [(0,)]
    session.execute("begin; insert into s.a values (2); commit")
    assert mariadb.rows("select n from s.a") == [(2,)]
    with pytest.raises(WarehouseError, match="nothing was committed"):
        session.commit()


@nightly
@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select cast('x' as int) as n", "Truncated incorrect INTEGER value: 'x'"),
        ("select 1 / 0 as n", "Division by 0"),
        ("select cast('2020-02-31' as date) as n", "Incorrect datetime value"),
        ("select cast('0000-00-00' as date) as n", "Incorrect datetime value"),
        ("select cast('abc' as char(2)) as n", "Truncated incorrect CHAR"),
        ("select cast(123456 as decimal(5, 2)) as n", "Out of range"),
    ],
)
def test_a_value_that_is_cut_is_an_error_everywhere(
    session: mariadb.MariaSession, tmp_path: Path, sql: str, words: str
) -> None:
    for use in (
        lambda: session.query(sql),
        lambda: session.export(sql, [str(tmp_path)]),
        lambda: create(session, "table", sql),
    ):
        with pytest.raises(WarehouseError, match=words) as caught:
            use()
        assert caught.value.kind is ErrorKind.BAD_VALUE
    assert session.there([T]) == []


@nightly
def test_group_concat_that_cuts_is_an_error(session: mariadb.MariaSession) -> None:
    session.execute("set group_concat_max_len = 10")
    with pytest.raises(WarehouseError, match="cut by"):
        create(session, "table", "select group_concat(seq) as n from s.seq_1_to_100")
    assert session.there([T]) == []


@nightly
def test_pipes_have_two_meanings(session: mariadb.MariaSession) -> None:
    with pytest.raises(WarehouseError, match="has two meanings in MariaDB") as caught:
        create(session, "view", "select 1 as n,\n 'a' || 'b' as m")
    assert caught.value.line == 2
    create(session, "view", "select '||' as n /* || */")
    assert session.read("select 'a' || 'b'")[1] == [("ab",)]  # as our own checks write it


def test_servers_that_do_not_rename_in_one_act() -> None:
    for version in ("8.0.36", "10.5.9-MariaDB", "5.7.1"):
        with pytest.raises(WarehouseError, match=r"MariaDB 10\.6 or later"):
            connecting._refuse_old(version)
    for version in ("10.6.1-MariaDB", "10.11.19-MariaDB-0+deb12u1", "11.4.2-MariaDB-log"):
        connecting._refuse_old(version)


@nightly
def test_a_server_that_takes_no_case(mariadb: MariaServer) -> None:
    server = start_mariadb("--lower-case-table-names=1")
    try:
        with session_of(mariadb_system(server.settings).open()) as session:
            session.prepare(["s"])
            create(session, "table", "select 1 as n")
            with pytest.raises(WarehouseError, match="lower_case_table_names"):
                create(session, "table", "select 1 as n", Relation("s", "Orders"))
    finally:
        server.stop()


def test_settings_that_lead_nowhere() -> None:
    with pytest.raises(WarehouseError, match="and not both"):
        mariadb.connect({"host": "h", "socket": "/s"})
    with pytest.raises(WarehouseError) as caught:
        mariadb.connect({"host": "127.0.0.1", "port": 1, "connect_seconds": 0.1}).session()
    assert (caught.value.kind, caught.value.transient) == (ErrorKind.UNREACHABLE, True)
    assert "127.0.0.1:1" in caught.value.message


# Sessions ----------------------------------------------------------------------------------------


@nightly
def test_a_session_that_ended_while_it_was_idle_connects_anew(
    mariadb: MariaServer, warehouse: mariadb.MariaDB, session: mariadb.MariaSession
) -> None:
    mariadb.rows(f"kill connection {session._connection.thread_id()}")
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    with contextlib.closing(warehouse.session("user")) as user:
        user.execute("set @a = 1")  # it is gone with the connection
        mariadb.rows(f"kill connection {user._connection.thread_id()}")
        with pytest.raises(WarehouseLost):
            user.build(TASK)


@nightly
def test_settings_of_the_server_do_not_matter(mariadb: MariaServer) -> None:
    loose = "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
    server = start_mariadb(
        loose, "--wait-timeout=1", "--autocommit=0", "--default-time-zone=+05:00"
    )
    try:
        with session_of(mariadb_system(server.settings).open()) as session:
            session.prepare(["s"])
            text_ = 'it\'s \\ "x"'
            create(session, "table", f'select {text.literal(text_)} as n, "a" as m, now() as d')
            assert session.query("select n, m from s.t")[1] == [(text_, "a")]
            zone = "select @@session.time_zone, @@wait_timeout > 1000000"
            assert session.query(zone)[1] == [("+00:00", 1)]
    finally:
        server.stop()


@nightly
def test_a_server_that_was_restarted(mariadb: MariaServer) -> None:
    server = start_mariadb()
    try:
        with session_of(mariadb_system(server.settings).open()) as session:
            session.prepare(["s"])
            create(session, "table", "select 'old' as n")
            server.kill()
            with pytest.raises(WarehouseLost):
                session.rows("select 1")
            server.restart()
            assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    finally:
        server.stop()


@nightly
@pytest.mark.parametrize(
    "value", ["it's", "back\\slash", 'say "x"', "a;b", "-- no comment", "`", "\n", "名😀", "# x"]
)
def test_a_literal_is_the_text(session: mariadb.MariaSession, value: str) -> None:
    sql = f"select {text.literal(value)} as n /* ; ' */ -- ; \"\n # ; '"
    assert session.query(sql)[1] == [(value,)]
    assert session.count(sql) == 1
    assert run(session, replace(TASK, content=Query(sql)), Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [(value,)]


def test_statements_of_a_text() -> None:
    assert text.statements("select 1;; -- x;\n select ';' # ;\n;") == [
        "select 1",
        " -- x;\n select ';' # ;\n",
    ]
    program = "create or replace procedure s.p() begin select 1; select 2; end"
    assert text.statements(f"select 1; {program};") == ["select 1", f" {program};"]
    assert text.statements("select 1--2; select 3") == ["select 1--2", " select 3"]
    for sql in ("select 1 into @x", "select 1; select 2", "", "set x = 1", "begin not atomic end"):
        with pytest.raises(WarehouseError, match="one query is expected"):
            text.one_query(sql)
    error = convert(ValueError(1064, "You have an error near 'x' at line 7"), "select *\nfrom s.v")
    assert (error.line, error.kind) == (None, ErrorKind.SYNTAX)


# Types -------------------------------------------------------------------------------------------

UTC = dt.timezone.utc
D = decimal.Decimal
NOW = dt.datetime(2020, 1, 1, tzinfo=UTC)
TYPES: dict[str, tuple[str, pa.DataType, list[object]]] = {
    "decimal(65,30)": ("'-1.5', '0.000000000000000000000000000001'", pa.decimal256(65, 30),
                       [D("-1.5"), D("1e-30")]),
    "decimal(38,10)": ("'9999999999999999999999999999.0000000001'", pa.decimal128(38, 10),
                       [D("9999999999999999999999999999.0000000001")]),
    "bigint unsigned": ("18446744073709551615, 0", pa.uint64(), [2**64 - 1, 0]),
    "bigint": ("-9223372036854775808", pa.int64(), [-(2**63)]),
    "mediumint unsigned": ("16777215", pa.uint32(), [2**24 - 1]),
    "datetime(6)": ("'9999-12-31 23:59:59.999999', '0001-01-01'", pa.timestamp("us"),
                    [dt.datetime.max, dt.datetime.min]),
    "datetime(4)": ("'2020-01-01 10:00:00.1234'", pa.timestamp("us"),
                    [dt.datetime(2020, 1, 1, 10, 0, 0, 123400)]),
    "timestamp(6) null": ("'2020-02-29 01:02:03.000004'", pa.timestamp("us", "UTC"),
                          [dt.datetime(2020, 2, 29, 1, 2, 3, 4, UTC)]),
    "json": ("""'{"a": [1, "名"]}'""", pa.string(), ['{"a": [1, "名"]}']),
    "bit(9)": ("b'100000001', b'0'", pa.uint64(), [257, 0]),
    "enum('x','y')": ("'y'", pa.string(), ["y"]),
    "set('a','b')": ("'b,a'", pa.string(), ["a,b"]),
    "varchar(9) character set latin1": ("'ä'", pa.string(), ["ä"]),
    "varchar(9) character set utf8mb4": ("'😀'", pa.string(), ["😀"]),
    "varbinary(3)": ("x'00ff', ''", pa.binary(), [b"\x00\xff", b""]),
    "blob": ("x'5c27'", pa.binary(), [b"\\'"]),
    "year": ("2020", pa.int16(), [2020]),
    "time(6)": ("'23:59:59.999999'", pa.time64("us"), [dt.time(23, 59, 59, 999999)]),
    "boolean": ("true, false", pa.bool_(), [True, False]),
    "float": ("16777213, 0.1", pa.float32(), [16777213.0, pa.scalar(0.1, pa.float32()).as_py()]),
    "double": ("1.7976931348623157e308, 0.1, 5e-324", pa.float64(),
               [1.7976931348623157e308, 0.1, 5e-324]),
    "uuid": ("'f47ac10b-58cc-4372-a567-0e02b2c3d479'", pa.string(),
             ["f47ac10b-58cc-4372-a567-0e02b2c3d479"]),
}  # fmt: skip


@nightly
@pytest.mark.parametrize("type_", TYPES)
def test_types_of_its_own_cross_and_come_back(
    session: mariadb.MariaSession, tmp_path: Path, type_: str
) -> None:
    given, arrow, values = TYPES[type_]
    session.execute(f"create table s.a (i int auto_increment primary key, v {type_})")
    for each in given.split(", ") if type_ != "json" else [given]:
        session.execute(f"insert into s.a (v) values ({each})")
    session.execute("insert into s.a (v) values (null)")
    path, rows = session.export("select v from s.a order by i", [str(tmp_path)])
    found = bulk.read(path)
    assert (found.schema.field("v").type, rows) == (arrow, len(values) + 1)
    assert found.column("v").to_pylist() == [*values, None]
    session.load(path, "s.b", "replace")
    again, _ = session.export("select v from s.b", [str(tmp_path)])
    back = bulk.read(again).column("v").to_pylist()
    assert len(back) == rows
    assert all(value in back for value in [*values, None])
    session.execute("delete from s.a")
    assert session.load(path, "s.a", "append") == rows
    again, _ = session.export("select v from s.a order by i", [str(tmp_path)])
    assert bulk.read(again).column("v").to_pylist() == [*values, None]


@nightly
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("date", "'0000-00-00'"),
        ("datetime", "'2020-00-00 00:00:00'"),
        ("time", "'-01:00:00'"),
        ("time", "'25:00:00'"),
        ("tinyint(1)", "2"),
    ],
)
def test_a_value_that_cannot_cross_is_named(
    mariadb: MariaServer, session: mariadb.MariaSession, tmp_path: Path, type_: str, value: str
) -> None:
    mariadb.rows(f"create table s.a (v {type_})")
    with contextlib.closing(mariadb.connect()) as other, other.cursor() as cursor:
        cursor.execute("set sql_mode = ''")
        cursor.execute(f"insert into s.a values (null), ({value})")
    with pytest.raises(WarehouseError, match=r"column 'v', row 1 \(counted from 0\)") as caught:
        session.export("select v from s.a", [str(tmp_path)])
    assert caught.value.kind is ErrorKind.BAD_VALUE
    assert list(tmp_path.glob("*.arrow")) == []
    assert session.query("select 1")[1] == [(1,)]


@nightly
@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, float("nan")]),
        pa.array([1.5, float("inf")]),
        pa.array(
            [dt.datetime(2020, 1, 1, tzinfo=UTC), dt.datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)]
        ),
        pa.array([dt.datetime(2020, 1, 1, tzinfo=UTC), dt.datetime(1969, 1, 1, tzinfo=UTC)]),
    ],
    ids=["nan", "inf", "late", "early"],
)
def test_a_value_that_it_cannot_hold_is_named(
    session: mariadb.MariaSession, tmp_path: Path, values: pa.Array
) -> None:
    path, _ = bulk.write([str(tmp_path)], *_table(values))
    with pytest.raises(WarehouseError, match=r"column 'v', row 1 \(counted from 0\)"):
        session.load(path, "s.t", "replace")
    assert session.there([T]) == []


@nightly
@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1]], pa.list_(pa.int32())),
        pa.array([{"a": 1}]),
        pa.array([dt.timedelta(1)]),
        pa.array([D(1)], pa.decimal256(70, 0)),
    ],
    ids=lambda values: str(values.type),
)
def test_a_type_that_it_has_not_is_refused(
    session: mariadb.MariaSession, tmp_path: Path, values: pa.Array
) -> None:
    path, _ = bulk.write([str(tmp_path)], *_table(values))
    with pytest.raises(WarehouseError, match=r"column 'v' is of Arrow's type .*MariaDB has not"):
        session.load(path, "s.t", "replace")


def _table(values: pa.Array) -> tuple[Any, Any]:
    table = pa.table({"v": values})
    return table.schema, table.to_batches()
