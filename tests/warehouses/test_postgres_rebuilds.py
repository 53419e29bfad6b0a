"""What a rebuild must not do to others: their rows, what they put on a table, their views.

The oracle for what hangs on a table is ``pg_dump``, which knows more of it than we do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_models.cli.main import main
from dagster_models.core.messages import TaskError
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.session import Session, connect
from dagster_models.warehouses.postgres.session import connect as connect_here
from dagster_models.warehouses.postgres.target import POSTGRES
from on_postgres import backends, task, until
from postgres_server import binaries
from systems import System, postgres_system, session_of

pytestmark = pytest.mark.slow


@pytest.fixture
def system(postgres_dsn: str) -> System:
    return postgres_system(postgres_dsn)


@pytest.fixture
def session(system: System) -> Iterator[Session]:
    with connect(system.address) as session:
        session.prepare(["s"])  # the process may be the last test's, and think that it is done
        yield session


@pytest.fixture
def role(admin: psycopg.Connection) -> Iterator[str]:
    """Somebody else, who may do nothing yet."""
    name = f"somebody_{os.getpid()}"
    admin.execute(f"create role {name} login password 'b'".encode())
    yield name
    admin.execute(f"drop owned by {name}; drop role {name}".encode())


def build(session: Session, sql: str, name: str = "t", **more: Any) -> None:
    outcome = session.run(task(name, sql, run_id=os.urandom(4).hex(), **more))
    assert outcome.error is None, outcome.error.message


def refusal(session: Session, sql: str, name: str = "t", **more: Any) -> TaskError:
    outcome = session.run(task(name, sql, run_id=os.urandom(4).hex(), **more))
    assert outcome.error is not None, "it was published"
    return outcome.error


def rows(admin: psycopg.Connection, sql: str) -> list[tuple[Any, ...]]:
    return admin.execute(sql.encode()).fetchall()


# Rows of other tables ----------------------------------------------------------------------------

TWO = "select * from (values (1, 'one'), (2, 'two')) as v(id, t)"
ACTIONS = ("cascade", "set null", "set default", "no action", "restrict")


@pytest.mark.parametrize("action", ACTIONS)
def test_rows_that_refer_to_a_table_survive_its_rebuild(
    session: Session, admin: psycopg.Connection, action: str
) -> None:
    build(session, TWO)
    admin.execute("alter table s.t add unique (id)")
    admin.execute(
        "create table public.mine (n int, to_id int default 2 references s.t (id)"
        f" on delete {action} on update {action})".encode()
    )
    admin.execute("insert into public.mine values (10, 1), (20, 2), (30, null)")
    mine = rows(admin, "select n, to_id, xmin::text from public.mine order by n")
    for sql in (
        TWO,
        "select * from (values (3, 'new'), (2, 'II'), (1, null)) as v(id, t)",
        "select * from (values (1, 'one'), (2, 'two')) as v(id, t)",
    ):
        build(session, sql)
        wanted = sorted(rows(admin, sql), key=str)
        assert sorted(rows(admin, "select id, t from s.t"), key=str) == wanted
    assert rows(admin, "select n, to_id, xmin::text from public.mine order by n") == mine
    untouched = rows(admin, "select id from s.t where xmin <> pg_current_xact_id()::xid")
    build(session, TWO)
    assert rows(admin, "select id from s.t where xmin <> pg_current_xact_id()::xid") == untouched


@pytest.mark.parametrize("action", ACTIONS)
def test_a_row_that_others_refer_to_does_not_go(
    session: Session, admin: psycopg.Connection, action: str
) -> None:
    build(session, f"{TWO} union all select 3, 'three'")
    admin.execute("alter table s.t add primary key (id)")
    admin.execute(
        "create table public.mine (n int, to_id int constraint points references s.t"
        f" on delete {action})".encode()
    )
    admin.execute("insert into public.mine values (10, 1), (20, 2)")
    build(session, TWO)  # nobody refers to 3
    error = refusal(session, "select 1 as id, 'one' as t")
    assert error.kind is ErrorKind.CONSTRAINT
    assert "points" in error.message
    if action not in ("no action", "restrict"):
        assert f"ON DELETE {action.upper()}" in error.message
        assert "(to_id) = (2)" in error.message
        assert "Nothing was changed" in error.message
    assert rows(admin, "select * from public.mine order by n") == [(10, 1), (20, 2)]
    assert rows(admin, "select id from s.t order by id") == [(1,), (2,)]


def test_keys_of_several_columns_and_several_keys(
    session: Session, admin: psycopg.Connection
) -> None:
    sql = "select * from (values (1, 'a', 1.0, 7), (2, 'b', 2.0, 8)) as v(x, y, z, code)"
    build(session, sql)
    admin.execute('alter table s.t add primary key (z, "x"), add unique (y), add unique (code)')
    admin.execute(
        "create table public.one (a numeric, b int, foreign key (a, b) references s.t (z, x)"
        " on delete cascade);"
        "create table public.two (c text references s.t (y) on delete set null on update cascade);"
        "insert into public.one values (1.0, 1), (2.0, 2); insert into public.two values ('b')"
    )
    build(session, sql.replace("8)", "9)"))
    assert rows(admin, "select * from public.one order by b") == [(1, 1), (2, 2)]
    assert rows(admin, "select * from public.two") == [("b",)]
    error = refusal(session, sql.replace("'b'", "'c'"))  # the same row, and another name
    assert "two_c_fkey of public.two" in error.message
    build(session, sql.replace("'a'", "'A'"))
    assert rows(admin, "select y from s.t order by y") == [("A",), ("b",)]
    duplicates = refusal(session, f"{sql} union all {sql}")
    assert duplicates.kind is ErrorKind.CONSTRAINT
    assert rows(admin, "select count(*) from public.one") == [(2,)]


def test_a_table_that_refers_to_itself_and_is_referred_to(
    session: Session, admin: psycopg.Connection
) -> None:
    build(session, "select * from (values (1, null::int), (2, 1), (3, 2)) as v(id, parent)")
    admin.execute(
        "alter table s.t add primary key (id),"
        " add foreign key (parent) references s.t on delete cascade;"
        "create table public.mine (n int references s.t on delete cascade);"
        "insert into public.mine values (2)"
    )
    build(session, "select * from (values (2, null::int), (3, 9), (9, 2)) as v(id, parent)")
    assert rows(admin, "select * from s.t order by id") == [(2, None), (3, 9), (9, 2)]
    assert rows(admin, "select * from public.mine") == [(2,)]


def test_who_may_not_see_what_refers_to_a_row_does_not_delete_it(
    session: Session, admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    build(session, TWO)
    admin.execute(
        "alter table s.t add primary key (id);"
        "create table public.mine (n int references s.t on delete cascade)"
    )
    admin.execute(f"grant all on schema s, dagster_models to {role}".encode())
    admin.execute(f"grant all on s.t, dagster_models.commits to {role}".encode())
    settings = {"dsn": postgres_dsn, "user": role, "password": "b", "idle_seconds": 0.1}
    with connect(WarehouseAddress(POSTGRES, settings)) as other:
        error = refusal(other, "select 1 as id, 'one' as t")
    assert error.kind is ErrorKind.PERMISSION
    assert "GRANT SELECT ON public.mine" in error.message
    assert rows(admin, "select count(*) from s.t") == [(2,)]


def test_nobody_begins_to_refer_to_a_row_that_is_about_to_go(
    system: System, admin: psycopg.Connection, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look at what refers to it and our DELETE."""
    warehouse = connect_here(system.settings)
    with session_of(warehouse) as one, psycopg.connect(postgres_dsn) as app:
        one.prepare(["s"])
        one.replace_table(Relation("s", "t"), Query(TWO))
        admin.execute(
            "alter table s.t add primary key (id);"
            "create table public.mine (n int references s.t on delete cascade)"
        )
        run, refused = one.run, []

        def watched(sql: str, *arguments: Any, **more: Any) -> Any:
            if "DELETE FROM" in sql:
                app.execute("set lock_timeout = '200ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    app.execute("insert into public.mine values (2)")
                app.rollback()
                refused.append(sql)
            return run(sql, *arguments, **more)

        monkeypatch.setattr(one, "run", watched)
        one.begin()
        one.replace_table(Relation("s", "t"), Query("select 1 as id, 'one' as t"))
        assert len(refused) == 1
        one.rollback()
        app.execute("insert into public.mine values (2)")


def test_partitions_that_others_refer_to(session: Session, admin: psycopg.Connection) -> None:
    """A partitioned table that a model fills, and a partition that a model fills."""
    admin.execute(
        "create table s.t (id int, t text, primary key (id)) partition by range (id);"
        "create table s.low partition of s.t for values from (0) to (10);"
        "create table s.high partition of s.t for values from (10) to (20);"
        "create table public.mine (n int references s.t on delete cascade)"
    )
    build(session, f"{TWO} union all select 12, 'twelve'")
    admin.execute("insert into public.mine values (2), (12)")
    build(session, "select * from (values (12, 'XII'), (2, 'II')) as v(id, t)")
    assert rows(admin, "select * from s.high") == [(12, "XII")]
    assert "public.mine" in refusal(session, "select 12 as id, 'XII' as t").message
    build(session, "select * from (values (2, 'zwei'), (1, 'eins')) as v(id, t)", "low")
    assert "public.mine" in refusal(session, "select 1 as id, 'eins' as t", "low").message
    assert rows(admin, "select n from public.mine order by n") == [(2,), (12,)]
    assert rows(admin, "select id from s.t order by id") == [(1,), (2,), (12,)]


def test_a_partition_in_another_server_is_refused(
    session: Session, admin: psycopg.Connection
) -> None:
    admin.execute(
        "create foreign data wrapper away; create server away foreign data wrapper away;"
        "create table s.t (n int) partition by list (n);"
        "create foreign table public.far partition of s.t default server away"
    )
    try:
        error = refusal(session, "select 1 as n")
        assert "far, a partition of" in error.message
    finally:
        admin.execute("drop table s.t; drop foreign data wrapper away cascade")


def test_tables_that_inherit_keep_their_rows(session: Session, admin: psycopg.Connection) -> None:
    build(session, "select 1 as a")
    admin.execute(
        "create table public.y2023 () inherits (s.t); insert into public.y2023 values (2023);"
        "create table public.y2024 (more text) inherits (public.y2023);"
        "insert into public.y2024 values (2024, 'x')"
    )
    build(session, "select * from (values (5), (6)) as v(a)")
    assert rows(admin, "select a from s.t order by a") == [(5,), (6,), (2023,), (2024,)]
    assert rows(admin, "select a from only s.t order by a") == [(5,), (6,)]
    # With a trigger, by difference: the same.
    admin.execute(
        "create function public.f() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger f after insert on s.t for each row execute function public.f()"
    )
    build(session, "select * from (values (6), (2023)) as v(a)")
    assert rows(admin, "select a from s.t order by a") == [(6,), (2023,), (2023,), (2024,)]


# Triggers and rules ------------------------------------------------------------------------------

AUDIT = """
create table public.heard (op text, was text, is_now text);
create function public.hear() returns trigger language plpgsql as $$ begin
    if tg_op = 'DELETE' then insert into public.heard values (tg_op, old::text, null); return old;
    elsif tg_op = 'INSERT' then insert into public.heard values (tg_op, null, new::text);
    else insert into public.heard values (tg_op, old::text, new::text); end if;
    return new; end $$;
create trigger hear before insert or update or delete on s.t
    for each row execute function public.hear();
"""


@pytest.mark.parametrize("keyed", [False, True])
def test_a_trigger_hears_of_the_rows_that_change(
    session: Session, admin: psycopg.Connection, keyed: bool
) -> None:
    first = "select * from (values (1, '{}'::json), (2, '{}'), (3, null)) as v(id, j)"
    again = "select * from (values (4, null::json), (2, '{\"a\": 1}'), (1, '{}')) as v(id, j)"
    if not keyed:  # equal rows, of a type without equality
        first, again = f"{first} union all select 1, '{{}}'", f"{again} union all select 1, '{{}}'"
    build(session, first)
    if keyed:
        admin.execute("alter table s.t add primary key (id)")
    admin.execute(AUDIT.encode())
    build(session, first)
    assert rows(admin, "select * from public.heard") == []
    build(session, again)
    heard = rows(admin, "select op, coalesce(was, is_now) from public.heard order by 1, 2")
    assert heard == (
        [("DELETE", "(3,)"), ("INSERT", "(4,)"), ("UPDATE", "(2,{})")]
        if keyed
        else [
            ("DELETE", "(2,{})"),
            ("DELETE", "(3,)"),
            ("INSERT", '(2,"{""a"": 1}")'),
            ("INSERT", "(4,)"),
        ]
    )
    there, wanted = (
        sorted(row[0] for row in rows(admin, f"select v::text from ({sql}) as v"))
        for sql in ("select * from s.t", again)
    )
    assert there == wanted


LOUD = "create function public.f() returns trigger language plpgsql as $$ begin {} end $$;"


@pytest.mark.parametrize(
    ("attached", "named"),
    [
        (LOUD.format("return null;") + "create trigger drops before insert on s.t for each row"
         " execute function public.f()", "the trigger drops"),
        (LOUD.format("return null;") + "create trigger stays before delete on s.t for each row"
         " execute function public.f()", "the trigger stays"),
        (LOUD.format("new.t := 'x'; return new;") + "create trigger sets before insert or update"
         " on s.t for each row execute function public.f()", "other values; .* the trigger sets"),
        (LOUD.format("insert into s.t values (0, 'zero'); return null;") + "create constraint"
         " trigger late after insert on s.t deferrable initially deferred for each row"
         " when (new.id > 2) execute function public.f()", "the trigger late"),
        (LOUD.format("delete from s.t where id = 3; return null;") + "create trigger after_all"
         " after insert on s.t for each statement execute function public.f()", "after_all"),
        ("create rule nothing as on insert to s.t where new.id = 3 do instead nothing",
         "the rule nothing"),
        ("create rule stays as on delete to s.t do instead nothing", "the rule stays"),
    ],
)  # fmt: skip
def test_what_makes_other_rows_of_ours_is_refused_by_name(
    session: Session, admin: psycopg.Connection, attached: str, named: str
) -> None:
    build(session, TWO)
    admin.execute(attached.encode())
    build(session, TWO)  # nothing to write, so nothing happens
    error = refusal(session, "select * from (values (3, 'three'), (4, 'four')) as v(id, t)")
    assert re.search(named, error.message), error.message
    assert rows(admin, "select * from s.t order by id") == [(1, "one"), (2, "two")]


def test_what_a_trigger_leaves_out_of_an_append_is_an_error(
    session: Session, admin: psycopg.Connection
) -> None:
    import pyarrow as pa

    build(session, TWO)
    admin.execute(
        (LOUD.format("if new.id > 3 then return null; end if; return new;")
         + "create trigger few before insert on s.t for each row execute function public.f()"
         ).encode()
    )  # fmt: skip
    assert session.load(pa.table({"id": [3], "t": ["three"]}), "s.t", mode="append") == 1
    with pytest.raises(WarehouseError, match="took 1 of 2 rows"):
        session.load(pa.table({"id": [3, 4], "t": ["x", "y"]}), "s.t", mode="append")
    assert rows(admin, "select count(*) from s.t") == [(3,)]
    session.begin()
    with pytest.raises(WarehouseError, match="took 1 of 2 rows"):
        session.load(pa.table({"id": [3, 4], "t": ["x", "y"]}), "s.t", mode="append")
    with pytest.raises(WarehouseError, match="rolled back"):
        session.commit()
    assert rows(admin, "select count(*) from s.t") == [(3,)]


# Settings of a role ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_rows_that_others_commit_meanwhile_do_not_survive(
    system: System, admin: psycopg.Connection, role: str, postgres_dsn: str, level: str
) -> None:
    admin.execute(f"alter role {role} set default_transaction_isolation = '{level}'".encode())
    admin.execute(f"grant create on database {admin.info.dbname} to {role}".encode())
    warehouse = connect_here({"dsn": postgres_dsn, "user": role, "password": "b"})
    with session_of(warehouse) as one:
        one.prepare(["s"])
        one.replace_table(Relation("s", "t"), Query("select 1 as n"))
        one.begin()
        assert one.query("select count(*) from s.t")[1] == [(1,)]  # a snapshot, if it takes one
        admin.execute("insert into s.t values (99)")
        one.replace_table(Relation("s", "t"), Query("select 2 as n"))
        one.commit()
        assert rows(admin, "select n from s.t") == [(2,)]


def test_a_table_is_not_replaced_in_a_snapshot_of_the_users(
    session: Session, admin: psycopg.Connection
) -> None:
    import pyarrow as pa

    build(session, "select 1 as n")
    session.execute("begin isolation level repeatable read; select 1")
    with pytest.raises(WarehouseError, match="READ COMMITTED") as caught:
        session.load(pa.table({"n": [2]}), "s.t")
    assert caught.value.name == "WrongIsolation"
    session.rollback()
    assert rows(admin, "select n from s.t") == [(1,)]


def test_settings_that_would_change_values_or_meaning_are_the_sessions_own(
    admin: psycopg.Connection, postgres_dsn: str
) -> None:
    import pyarrow as pa

    database = f'alter database "{admin.info.dbname}"'
    for setting in (
        "standard_conforming_strings = off",
        "array_nulls = off",
        "session_replication_role = replica",
        "synchronous_commit = off",
    ):
        admin.execute(f"{database} set {setting}".encode())
    try:
        settings = {"dsn": postgres_dsn, "idle_seconds": 0.1, "connect_seconds": 9}
        with connect(WarehouseAddress(POSTGRES, settings)) as session:
            session.prepare(["s"])
            assert session.query(r"select 'a\n'") == [(r"a\n",)]
            session.load(pa.table({"a": [["x", None]]}), "s.arrays")
            assert session.query("select a[2] is null from s.arrays") == [(True,)]
            assert session.query("show session_replication_role") == [("origin",)]
            assert session.query("show synchronous_commit") == [("on",)]
    finally:
        admin.execute(f"{database} reset all".encode())


def test_a_role_that_may_make_no_temporary_table_is_refused_from_the_first_build(
    session: Session, admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    database = admin.info.dbname
    admin.execute(f'revoke temporary on database "{database}" from public'.encode())
    admin.execute(f"grant all on schema s, dagster_models to {role}".encode())
    admin.execute(f"grant all on dagster_models.commits to {role}".encode())
    settings = {"dsn": postgres_dsn, "user": role, "password": "b", "idle_seconds": 0.1}
    try:
        with connect(WarehouseAddress(POSTGRES, settings)) as other:
            error = refusal(other, "select 1 as n")
            assert error.kind is ErrorKind.PERMISSION
            statement = error.message[error.message.index("GRANT TEMPORARY") :]
            assert statement == f"GRANT TEMPORARY ON DATABASE {database} TO {role}"
            admin.execute(statement.encode())
            build(other, "select 1 as n")
            build(other, "select 2 as n")
    finally:
        admin.execute(f'grant temporary on database "{database}" to public'.encode())


def test_checks_alone_run_with_a_role_that_may_not_keep_their_rows(
    session: Session,
    admin: psycopg.Connection,
    role: str,
    postgres_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may make neither the schema of a table nor, in a schema that is there, the table."""
    admin.execute(b"create table s.t as select null::int as n; create schema other")
    admin.execute(b"create table other.u as select 1 as n")
    admin.execute(f"grant usage on schema s, other to {role}".encode())
    admin.execute(f"grant select on s.t, other.u to {role}".encode())
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("PASSWORD", "b")
    target = {"dsn": "${DATABASE_URL}", "user": role, "password": "${PASSWORD}"}
    model = (
        "/* @model\ncolumns: {n: {checks: [not_null: {store_failures: true}]}}\n*/ select 1 as n"
    )
    files = {
        "dagster_models.yaml": json.dumps(
            {"name": "p", "dialect": "postgres", "targets": {"dev": {"type": "postgres", **target}}}
        ),
        "models/s/t.sql": model,
        "models/other/u.sql": model,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    code = main(["--project", str(tmp_path), "checks", "--store-failures"])
    text = "".join(capsys.readouterr())
    assert code == 1, text
    for step in ("s.t", "other.u"):
        note = f"{step}: WARNING: the rows of not_null_n are not stored: .*permission denied"
        assert re.search(note, text), text
    assert "PASS=1 WARN=0 ERROR=1" in text
    assert rows(admin, "select to_regclass('s.failures_not_null_n')") == [(None,)]


# Made anew ---------------------------------------------------------------------------------------


def dump(dsn: str, *names: str) -> list[str]:
    """What pg_dump says of the relations, but for the columns of tables and for the order."""
    folder = binaries()
    assert folder is not None
    options = [f"--table={name}" for name in names]
    done = subprocess.run(
        [str(folder / "pg_dump"), "--schema-only", *options, dsn],
        capture_output=True,
        text=True,
        check=True,
    )
    statements = done.stdout.replace("\\restrict", "--").replace("\\unrestrict", "--")
    lines = (line for line in statements.splitlines() if not line.startswith("--"))
    return sorted(
        part
        for part in "\n".join(lines).split(";\n")
        if part.strip() and "CREATE TABLE" not in part and "CREATE UNLOGGED" not in part
    )


KEPT = {
    "storage": "alter table s.t set unlogged, set (fillfactor = 71, toast.vacuum_truncate = false),"
    " alter t set storage external, alter t set compression pglz, alter n set statistics 250,"
    " alter n set (n_distinct = -0.5)",
    "index": "create index ix on s.t using btree (n desc, lower(t)) include (m)"
    " with (fillfactor = 60) where n > 0; comment on index s.ix is 'mine';"
    " alter index s.ix alter column 2 set statistics 99;"
    " create unique index iy on s.t (m) nulls not distinct; cluster s.t using iy",
    "constraints": "alter table s.t add constraint pk primary key (n), add constraint ch"
    " check (m > 0) not valid, add constraint un unique (m) deferrable initially deferred,"
    " add constraint self foreign key (m) references s.t (n),"
    " add constraint ex exclude using btree (m with =);"
    " comment on constraint pk on s.t is 'key'; comment on constraint ch on s.t is 'positive';"
    " comment on index s.pk is 'of the key'; alter table s.t cluster on pk;"
    " alter table s.t replica identity using index pk",
    "not null": "alter table s.t alter n set not null, alter m set default 8;"
    " comment on column s.t.n is 'a number'",
    "statistics": "create statistics public.both (dependencies) on n, m from s.t;"
    " alter statistics public.both set statistics 12;"
    " comment on statistics public.both is 'together'",
    "triggers": "create function public.f() returns trigger language plpgsql as"
    " 'begin return new; end'; create trigger a before insert on s.t for each row execute function"
    " public.f(); alter table s.t enable always trigger a; comment on trigger a on s.t is 'first';"
    " create constraint trigger b after update of n on s.t deferrable for each row"
    " execute function public.f(); create trigger c after update on s.t referencing old table as x"
    " for each statement execute function public.f(); alter table s.t disable trigger c",
    "rules": "create rule r as on update to s.t do also notify changed;"
    " comment on rule r on s.t is 'tells'; alter table s.t enable replica rule r",
    "policies": "create policy p on s.t for update to public using (n > 0) with check (m > 0);"
    " comment on policy p on s.t is 'some'; alter table s.t enable row level security,"
    " force row level security",
    "grants": "grant select, insert on s.t to pg_monitor with grant option;"
    " grant select (n), update (m) on s.t to public; grant references (t) on s.t to pg_monitor"
    " with grant option",
    "publication": "create publication pub for table s.t (n, m) where (n > 0)",
}


@pytest.mark.parametrize("what", KEPT)
def test_what_others_put_on_a_table_is_on_the_one_that_is_made_anew(
    session: Session, admin: psycopg.Connection, postgres_dsn: str, what: str
) -> None:
    if admin.info.server_version < 150000 and ("nulls not" in KEPT[what] or what == "publication"):
        pytest.skip("PostgreSQL 15 brought it")
    build(session, "select 1 as n, 1 as m, 'x' as t")
    with admin.transaction():
        admin.execute(KEPT[what].encode())
    try:
        before = dump(postgres_dsn, "s.t")
        assert len(before) > len(dump(postgres_dsn, "dagster_models.commits")) - 5
        forced = what == "policies"  # it would hold for the builder, were he not a superuser
        build(session, "select 5 as more, 1 as n, 1 as m, 'y' as t, 'z' as last")
        assert forced or rows(admin, "select n, t from s.t") == [(1, "y")]
        assert dump(postgres_dsn, "s.t") == before
        persistence = rows(
            admin, "select relpersistence::text from pg_class where oid = 's.t'::regclass"
        )
        assert persistence == [("u" if what == "storage" else "p",)]
    finally:
        admin.execute("drop publication if exists pub")


@pytest.mark.parametrize(
    ("attached", "named"),
    [
        ("create table public.whole (n int, m int) partition by list (n);"
         " alter table public.whole attach partition s.t for values in (1)",
         "a partition of public.whole.* ALTER TABLE public.whole DETACH PARTITION"),
        ("create table public.base (n int); alter table s.t inherit public.base",
         "inherits from public.base.* NO INHERIT public.base"),
        ("create table public.child () inherits (s.t)", "public.child inherits from it"),
        ("create type public.pair as (n int, m int); alter table s.t of public.pair",
         "a table of the type pair.* NOT OF"),
        ("alter table s.t add primary key (n);"
         " create table public.mine (x int constraint points references s.t)",
         "the foreign key points of public.mine.* DROP CONSTRAINT points"),
        ("alter table s.t add twice int generated always as (n * 2) stored", "twice is generated"),
        ("create function public.f(s.t) returns int language sql as 'select 1'", "function f"),
        ("create table public.holds (row s.t)", "holds"),
        ("create function public.f() returns bigint begin atomic select count(*) from s.t; end",
         "function f"),
        ("create table public.o (n int); alter table public.o enable row level security;"
         " create policy p on public.o using (n in (select n from s.t))", "policy p"),
        ("create table public.o (n int); create rule r as on insert to public.o do also"
         " delete from s.t", "a rule of the table public.o"),
        ("alter extension plpgsql add table s.t", "plpgsql"),
        ("create index ix on s.t (n); alter index s.ix depends on extension plpgsql",
         "index s.ix: its dependence on extension plpgsql"),
        ("create view public.v as select n from s.t; create table public.holds (row public.v)",
         "holds"),
        ("create view public.v as select n from s.t;"
         " create function public.f() returns bigint begin atomic select n from public.v; end",
         "function f"),
    ],
)  # fmt: skip
def test_what_would_not_survive_refuses_the_change_by_name(
    session: Session, admin: psycopg.Connection, attached: str, named: str
) -> None:
    import re

    build(session, "select 1 as n, 2 as m")
    admin.execute(attached.encode())
    try:
        error = refusal(session, "select 1 as n, 2 as m, 3 as k")
        assert error.kind is ErrorKind.NOT_KEPT, error.message
        assert re.search(named, error.message), error.message
        assert "Nothing was changed" in error.message
        assert rows(admin, "select n from only s.t") == [(1,)]
    finally:
        admin.execute("alter extension plpgsql drop table s.t") if "add table" in attached else None


def test_what_we_never_heard_of_refuses_the_change(
    session: Session,
    admin: psycopg.Connection,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a PostgreSQL that hangs something new on a table: its statement is not among ours."""
    from dagster_models.warehouses.postgres import dependent_objects

    known = dependent_objects._DEPENDENT_OBJECTS
    assert "FROM rules\n" in known.replace("FROM rules UNION", "FROM rules\n")
    monkeypatch.setattr(
        dependent_objects,
        "_DEPENDENT_OBJECTS",
        known.replace("AND rulename <> '_RETURN'", "AND rulename <> '_RETURN' AND false"),
    )
    build(session, "select 1 as n")
    admin.execute("create rule r as on update to s.t do also notify changed")
    with session_of(connect_here(system.settings)) as here:
        here.begin()
        with pytest.raises(WarehouseError, match=r"rule r on table s\.t"):
            here.replace_table(Relation("s", "t"), Query("select 1 as n, 2 as m"))


def test_an_index_goes_with_its_column_and_so_does_what_is_said_of_it(
    session: Session, admin: psycopg.Connection, postgres_dsn: str
) -> None:
    build(session, "select 1 as n, 2 as m, 'x' as t")
    admin.execute(
        "create index ix on s.t (m); comment on index s.ix is 'gone'; cluster s.t using ix;"
        "alter table s.t add constraint un unique (m, n); comment on constraint un on s.t is 'x';"
        "alter table s.t alter t set storage external, alter m set statistics 9,"
        " alter m set default 4, alter m set not null; create index stays on s.t (n)"
    )
    build(session, "select 1 as n, 3 as t")
    assert rows(admin, "select indexname from pg_indexes where tablename = 't'") == [("stays",)]


def test_what_was_in_the_default_tablespace_stays_there(
    session: Session, admin: psycopg.Connection, postgres_dsn: str
) -> None:
    """A role's own default is for what it creates, not for what it makes again."""
    place = f"place_{os.getpid()}"
    admin.execute("set allow_in_place_tablespaces = on")
    admin.execute(f"create tablespace {place} location ''".encode())
    database = f'alter database "{admin.info.dbname}"'
    try:
        build(session, "select 1 as n, 2 as m")
        admin.execute(
            f"create index here on s.t (n); create index there on s.t (n) tablespace {place};"
            f"create materialized view public.m tablespace {place} as select n from s.t".encode()
        )
        before = dump(postgres_dsn, "s.t", "public.m")
        admin.execute(f"{database} set default_tablespace = '{place}'".encode())
        settings = {"dsn": postgres_dsn, "idle_seconds": 0.1, "connect_seconds": 8}
        with connect(WarehouseAddress(POSTGRES, settings)) as other:
            build(other, "select 1 as n, 2 as m, 3 as k")
        assert dump(postgres_dsn, "s.t", "public.m") == before
        assert rows(
            admin,
            "select relname from pg_class where reltablespace <> 0"
            " and relname in ('t', 'here', 'there', 'm') order by 1",
        ) == [("m",), ("there",)]
    finally:
        admin.execute(f"{database} reset all".encode())
        admin.execute("drop schema s cascade; drop materialized view if exists public.m")
        admin.execute(f"drop tablespace {place}".encode())


# Views -------------------------------------------------------------------------------------------


def test_options_of_a_view_survive_its_rebuild(session: Session, admin: psycopg.Connection) -> None:
    """CREATE OR REPLACE VIEW alone would take them away: the view would read as its owner."""
    option = "security_invoker" if admin.info.server_version >= 150000 else "security_barrier"
    build(session, "select 1 as n")
    build(session, "select n from s.t", "v", view=True)
    admin.execute(f"alter view s.v set ({option} = true, check_option = local)".encode())
    for sql in ("select n + 1 as n from s.t", "select 'x' as other, n from s.t where n > 0"):
        if "+" in sql:
            admin.execute("alter view s.v reset (check_option)")
        build(session, sql, "v", view=True)
        shown = rows(admin, "select reloptions::text from pg_class where oid = 's.v'::regclass")
        assert f"{option}=true" in shown[0][0]


def test_views_of_others_are_as_they_were(
    session: Session, admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    build(session, "select 1 as n, 2 as m")
    admin.execute(
        "create materialized view public.empty as select n from s.t with no data;"
        "create materialized view public.m with (fillfactor = 65) as select n, m from s.t;"
        "create unique index mi on public.m (n); comment on index public.mi is 'unique';"
        "alter materialized view public.m cluster on mi, alter n set statistics 77;"
        "create view public.v with (security_barrier, check_option = local) as"
        " select n from s.t where n > 0;"
        "alter view public.v alter n set default 4; comment on column public.v.n is 'number';"
        "create function public.f() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger i instead of insert on public.v for each row execute function public.f();"
        "comment on trigger i on public.v is 'instead';"
        "create view public.w as select v.n, m.m from public.v join public.m using (n)"
    )
    admin.execute(f"alter view public.w owner to {role}".encode())
    names = ("public.empty", "public.m", "public.v", "public.w")
    before = dump(postgres_dsn, *names)
    # Must not reach the views of others when they are made again.
    admin.execute("alter default privileges in schema public grant select on tables to pg_monitor")
    try:
        build(session, "select 'x' as k, 1 as n, 2 as m")
        assert dump(postgres_dsn, *names) == before
    finally:
        admin.execute(
            "alter default privileges in schema public revoke select on tables from pg_monitor"
        )


# Races -------------------------------------------------------------------------------------------


def test_two_tables_under_one_view_change_at_once(
    system: System, admin: psycopg.Connection
) -> None:
    """Each drops the view and makes it again: the second one waits until it is the first one's."""
    warehouse = connect_here(system.settings)
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["s"])
        for name in ("t1", "t2"):
            one.replace_table(Relation("s", name), Query("select 1 as n"))
        admin.execute(
            "create view public.v as select t1.n from s.t1 join s.t2 using (n);"
            "create view public.w as select n from public.v"
        )
        for round_ in range(3):
            one.begin()
            one.replace_table(Relation("s", "t1"), Query(f"select 1 as n, 3 as c{round_}"))
            other.begin()
            with ThreadPoolExecutor() as pool:
                query = Query(f"select 1 as n, 2 as c{round_}")
                waiting = pool.submit(other.replace_table, Relation("s", "t2"), query)
                until(lambda: backends(admin, "wait_event_type = 'Lock'"))
                one.commit()
                waiting.result()
            other.commit()
            assert rows(admin, "select n from public.w") == [(1,)]


def test_a_view_is_not_replaced_while_its_table_changes(
    system: System, admin: psycopg.Connection
) -> None:
    warehouse = connect_here(system.settings)
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["s"])
        one.replace_table(Relation("s", "t"), Query("select 1 as n"))
        one.replace_view(Relation("s", "v"), "select n from s.t")
        one.begin()
        one.replace_table(Relation("s", "t"), Query("select 1 as n, 'x' as m"))
        other.begin()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(other.replace_view, Relation("s", "v"), "select m, n from s.t")
            until(lambda: backends(admin, "wait_event_type = 'Lock'"))
            one.commit()
            waiting.result()
        other.commit()
        assert rows(admin, "select m from s.v") == [("x",)]


@pytest.mark.parametrize(
    "message",
    [
        "could not open relation with OID 16384",
        "cache lookup failed for relation 16384",
        "tuple concurrently deleted",
    ],
)
def test_a_relation_that_another_session_replaced_is_worth_another_try(
    session: Session, admin: psycopg.Connection, message: str
) -> None:
    admin.execute(
        "create function public.f() returns int language plpgsql as"
        f" $$ begin raise '{message}' using errcode = 'XX000'; end $$".encode()
    )
    error = refusal(session, "select public.f() as n")
    assert error.kind is ErrorKind.CONFLICT
    assert error.transient


# Names -------------------------------------------------------------------------------------------

LONG = "n" * 64
QUOTED = "select 1 as " + '"' + 32 * 'a""' + '"'  # 64 bytes: a quote is written twice


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        (f"select 1 as {LONG}", 1),
        (f'select 1\nas "{LONG}"', 2),
        ("select\n\n1 as " + "ü" * 32, 3),
        (f"with {LONG} as (select 1 as n)\nselect n from {LONG}", 1),
        (f'select 1 as U&"\\0061{LONG[1:]}"', 1),
        (f"select 1 as {LONG} -- begin atomic", 1),
        (QUOTED, 1),
    ],
)
def test_a_name_that_would_be_cut_is_refused_with_its_line(
    session: Session, admin: psycopg.Connection, sql: str, line: int
) -> None:
    for view in (False, True):
        error = refusal(session, sql, view=view)
        assert (error.kind, error.name, error.line) == (
            ErrorKind.INVALID_NAME,
            "NameTooLong",
            line,
        )
    with pytest.raises(WarehouseError, match="would cut it after 63"):
        session.query(sql)
    with pytest.raises(WarehouseError, match="would cut it after 63"):
        session.export(sql)
    with pytest.raises(WarehouseError, match="would cut it after 63"):
        session.execute(f"create table s.t as {sql}")
    assert rows(admin, "select to_regclass('s.t')") == [(None,)]


def test_what_is_long_and_no_name(session: Session) -> None:
    kept: Sequence[str] = (
        f"select '{LONG}' as n, 1{'0' * 70} as m /* {LONG} */ -- {LONG}",
        f"select $x${LONG}$x$ as n, 0 as m",
        f"select E'\\'{LONG}' as n, 1.{'5' * 80}e0 as m",
        f'select 1 as n, 2 as "{"n" * 63}"',
        f'select 1 as n, 2 as U&"{chr(92) + "0061"}{"n" * 62}"',
    )
    for sql in kept:
        build(session, sql)
        assert session.query("select count(*) from s.t") == [(1,)]
