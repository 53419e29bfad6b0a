"""What hangs on a relation in PostgreSQL, and what becomes of it when a model is built again; and
types that only this server has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.session import Session, connect
from dagster_models.warehouses.postgres.target import POSTGRES
from on_postgres import task
from systems import System, postgres_system

pytestmark = pytest.mark.slow


@pytest.fixture
def system(postgres_dsn: str) -> System:
    return postgres_system(postgres_dsn)


@pytest.fixture
def session(system: System) -> Iterator[Session]:
    with connect(system.address) as session:
        session.prepare(["s"])  # the process may be the last test's, and think that it is done
        yield session


# What hangs on a relation ------------------------------------------------------------------------


def test_a_view_of_others_that_cannot_follow_refuses_the_change(
    session: Session, admin: psycopg.Connection
) -> None:
    session.run(task("t", "select 1 as n"))
    admin.execute("create view public.theirs as select n from s.t")
    outcome = session.run(task("t", "select 'x' as other", run_id="2"))
    assert outcome.error is not None
    assert outcome.error.name == "DependentView"
    assert "public.theirs" in outcome.error.message
    assert session.query("select n from public.theirs") == [(1,)]


def test_a_view_of_ours_that_cannot_follow_waits_for_its_own_step(session: Session) -> None:
    session.run(task("t", "select 1 as n"))
    session.run(task("v", "select n from s.t", view=True))
    assert session.run(task("t", "select 2 as m", run_id="2")).error is None
    view = session.run(task("v", "select m from s.t", run_id="2", view=True))
    assert view.error is None
    assert session.query("select m from s.v") == [(2,)]


def test_all_that_hangs_on_a_view_chain_is_made_again(
    session: Session, admin: psycopg.Connection
) -> None:
    session.run(task("t", "select 1 as n"))
    admin.execute("create materialized view public.m as select n from s.t")
    admin.execute("create unique index on_m on public.m (n)")
    admin.execute("create view public.v with (security_barrier) as select n + 1 as k from public.m")
    admin.execute("grant select on public.v to pg_monitor; comment on view public.v is 'hm'")
    admin.execute("alter table s.t add constraint one unique (n)")
    assert session.run(task("t", "select 7 as n, 'x' as more", run_id="2")).error is None
    assert session.query("select k from public.v") == [(8,)]
    assert session.query(
        "select obj_description('public.v'::regclass), relacl::text like '%pg_monitor=r%',"
        " reloptions::text from pg_class where oid = 'public.v'::regclass"
    ) == [("hm", True, "{security_barrier=true}")]
    assert session.query("select conname::text from pg_constraint where conname = 'one'") == [
        ("one",)
    ]
    assert session.query("select indexname::text from pg_indexes where indexname = 'on_m'")


def test_a_schemas_default_grants_do_not_widen_a_rebuilt_table(
    session: Session, admin: psycopg.Connection
) -> None:
    session.run(task("t", "select 1 as n"))
    admin.execute("alter default privileges in schema s grant select on tables to pg_monitor")
    assert session.run(task("t", "select 2 as n, 3 as m", run_id="2")).error is None
    acl = session.query("select coalesce(relacl::text, '') from pg_class where relname = 't'")
    assert "pg_monitor" not in acl[0][0]


def test_a_materialized_view_of_others_is_not_replaced(
    session: Session, admin: psycopg.Connection
) -> None:
    session.prepare(["s"])
    admin.execute("create materialized view s.t as select 1 as n")
    outcome = session.run(task("t", "select 2 as n"))
    assert outcome.error is not None
    assert "is a materialized view, which no model can replace" in outcome.error.message


#: All that DROP TABLE takes with it, as somebody else may have put it on a table of ours.
ATTACHED = """
create function public.note() returns trigger language plpgsql as 'begin return new; end';
create trigger noted before insert on s.t for each row when (new.n > 0)
    execute function public.note();
create trigger off after update of n on s.t for each statement execute function public.note();
alter table s.t disable trigger off;
create policy mine on s.t as restrictive for select to pg_monitor, public using (n > 0);
create policy "may 'write'; --" on s.t for insert with check (n < 9);
alter table s.t enable row level security;
alter table s.t alter n set default 7, alter n set not null, alter m set default 'x' || 'y';
alter table s.t set (fillfactor = 70);
alter table s.t replica identity full;
create rule quiet as on delete to s.t where old.n = 3 do instead nothing;
create statistics public.together on n, m from s.t;
create publication told for table s.t (n) where (n > 1) with (publish = 'insert');
create publication all_of_it for table s.t;
alter table s.t owner to {role};
"""

DESCRIBED = """
select 'owner', concat_ws('|', pg_get_userbyid(relowner), relreplident, relrowsecurity, reloptions)
from pg_class where oid = 's.t'::regclass
union all select 'trigger', concat(pg_get_triggerdef(oid), tgenabled) from pg_trigger
where tgrelid = 's.t'::regclass and not tgisinternal
union all select 'policy', concat_ws('|', policyname, permissive, roles, cmd, qual, with_check)
from pg_policies where schemaname = 's' and tablename = 't'
union all select 'default', attname || pg_get_expr(adbin, adrelid) from pg_attrdef
join pg_attribute on attrelid = adrelid and attnum = adnum where adrelid = 's.t'::regclass
union all select 'not null', attname from pg_attribute
where attrelid = 's.t'::regclass and attnotnull and attnum > 0
union all select 'rule', definition from pg_rules where tablename = 't'
union all select 'statistics', pg_get_statisticsobjdef(oid) from pg_statistic_ext
union all select 'publication', p.pubname || coalesce(pg_get_expr(prqual, prrelid), '')
|| coalesce(prattrs::text, '') from pg_publication_rel join pg_publication p on p.oid = prpubid
order by 1, 2
"""


@pytest.fixture
def role(admin: psycopg.Connection) -> Iterator[str]:
    """Somebody else, who may do nothing yet."""
    name = f"somebody_{os.getpid()}"
    admin.execute(f"create role {name} login password 'b'".encode())
    yield name
    admin.execute(f"drop owned by {name}; drop role {name}".encode())


@pytest.mark.parametrize(
    "rebuilt", ["select 2 as n, 'b' as m", "select 'z' as k, 2 as n, 'b' as m"]
)
def test_all_that_others_put_on_a_table_survives_its_rebuild(
    session: Session, admin: psycopg.Connection, role: str, rebuilt: str
) -> None:
    session.run(task("t", "select 1 as n, 'a' as m"))
    try:
        admin.execute(ATTACHED.format(role=role).encode())
        before = admin.execute(DESCRIBED.encode()).fetchall()
        assert {what for what, _ in before} == {
            *("owner", "trigger", "policy", "default", "not null", "rule", "statistics"),
            "publication",
        }
        outcome = session.run(task("t", rebuilt, run_id="2"))
        assert outcome.error is None
        after = admin.execute(DESCRIBED.encode()).fetchall()
        # A publication numbers its columns, which stand elsewhere now.
        assert [row for row in after if row[0] != "publication"] == [
            row for row in before if row[0] != "publication"
        ]
        told = admin.execute(
            "select pubname::text, attnames::text, rowfilter from pg_publication_tables order by 1"
        ).fetchall()
        assert [name for name, _, _ in told] == ["all_of_it", "told"]
        assert told[1] == ("told", "{n}", "(n > 1)")
        assert session.query("select n, m from s.t") == [(2, "b")]
    finally:  # a publication is of no schema
        admin.execute("drop publication if exists told, all_of_it")


@pytest.mark.parametrize(
    ("attached", "rebuilt", "told"),
    [
        ("alter table s.t alter n set not null, alter n add generated always as identity",
         "select 'x' as n", "the column n of .* counts with a sequence of its own"),
        ("create sequence s.q owned by s.t.n", "select 'x' as n", "a sequence of its own"),
        ("create trigger up after update of n on s.t execute function"
         " suppress_redundant_updates_trigger()", "select 1 as m", "the trigger up of"),
        ("create policy mine on s.t using (n > 0)", "select 1 as m", "the policy mine of"),
        ("alter table s.t enable row level security", None, "row-level security of"),
        ("alter table s.t alter n set not null", "select null::int as n, 1 as m", "NOT NULL of"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_over_refuses_the_change(
    session: Session, admin: psycopg.Connection, attached: str, rebuilt: str | None, told: str
) -> None:
    session.run(task("t", "select 1 as n"))
    admin.execute(attached.encode())
    again = task("t", rebuilt or "select 2 as n", run_id="2", view=rebuilt is None)
    outcome = session.run(again)
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.NOT_KEPT
    assert re.search(told, outcome.error.message)
    assert "Nothing was changed" in outcome.error.message
    assert session.query("select n from s.t") == [(1,)]


def test_a_partitioned_table_is_filled_and_not_made_anew(
    session: Session, admin: psycopg.Connection
) -> None:
    admin.execute("create table s.t (n int) partition by list (n)")
    admin.execute("create table s.t_default partition of s.t default")
    assert session.run(task("t", "select 1 as n")).error is None
    assert session.query("select n from s.t_default") == [(1,)]
    refused = session.run(task("t", "select 'x' as m", run_id="2")).error
    assert refused is not None
    assert "is a partitioned table" in refused.message


def test_an_identity_takes_the_models_own_numbers(
    session: Session, admin: psycopg.Connection
) -> None:
    session.run(task("t", "select 1 as n"))
    admin.execute("alter table s.t alter n set not null, alter n add generated always as identity")
    assert session.run(task("t", "select 5 as n", run_id="2")).error is None
    assert session.query("select n from s.t") == [(5,)]


def test_rows_that_a_policy_hides_are_not_left_behind(
    session: Session, admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    """A builder that is not the owner: DELETE would spare in silence what it does not see."""
    session.run(task("t", "select n from generate_series(1, 3) as s(n)"))
    admin.execute("alter table s.t enable row level security")
    admin.execute(f"create policy part on s.t to {role} using (n = 1)".encode())
    admin.execute(f"grant all on schema s, dagster_models to {role}".encode())
    admin.execute(f"grant all on s.t, dagster_models.commits to {role}".encode())
    settings = {"dsn": postgres_dsn, "user": role, "password": "b", "idle_seconds": 0.1}
    with connect(WarehouseAddress(POSTGRES, settings)) as other:
        outcome = other.run(task("t", "select 1 as n", run_id="2"))
    assert outcome.error is not None
    assert outcome.error.name == "RowLevelSecurity"
    assert session.query("select count(*) from s.t") == [(3,)]


def test_the_planner_knows_a_table_that_was_just_built(session: Session) -> None:
    known = (
        "select reltuples::int, (select count(*) from pg_stats where tablename = 't')"
        " from pg_class where oid = 's.t'::regclass"
    )
    for run_id, rows in (("1", 10), ("2", 1000)):
        query = f"select i as n, 'x' as m from generate_series(1, {rows}) as s(i)"
        assert session.run(task("t", query, run_id=run_id)).error is None
        assert session.query(known) == [(rows, 2)]


# Types -------------------------------------------------------------------------------------------


def test_1600_columns_and_no_more(session: Session, tmp_path: Path) -> None:
    import pyarrow as pa

    wide = pa.table({f"c{n}": [True] for n in range(1600)})  # a row has 8 kB
    assert session.load(wide, "public.wide") == 1
    assert session.export("select * from public.wide").num_columns == 1600
    with pytest.raises(WarehouseError, match="1601 columns; PostgreSQL takes 1600"):
        session.load(wide.append_column("more", pa.array([True])), "public.wide")
    listed = ", ".join(f"1 as c{n}" for n in range(1601))
    outcome = session.run(task("t", f"select {listed}"))
    assert outcome.error is not None
    assert "1600" in outcome.error.message


def test_types_of_the_servers_own(session: Session) -> None:
    session.execute("create type public.mood as enum ('sad', 'happy')")
    table = session.export(
        "select 'happy'::public.mood as e, '{\"a\": [1.50, null]}'::jsonb as j,"
        " '10.0.0.1'::inet as i, array['sad']::public.mood[] as es,"
        " array[1.50, null]::numeric(9,2)[] as ns, array['\\x00ff'::bytea] as bs,"
        " array[timestamptz '2020-01-01 00:00+02'] as ts, 'x'::bpchar as c"
    )
    (row,) = table.to_pylist()
    assert (row["e"], row["j"], row["i"], row["es"]) == (
        "happy",
        '{"a": [1.50, null]}',
        "10.0.0.1",
        ["sad"],
    )
    assert [str(n) for n in row["ns"]] == ["1.50", "None"]
    assert row["bs"] == [b"\x00\xff"]
    assert row["ts"][0].isoformat() == "2019-12-31T22:00:00+00:00"


def test_a_date_that_arrow_has_no_room_for_is_told(session: Session) -> None:
    with pytest.raises(WarehouseError, match="cast the column to text"):
        session.export("select 'infinity'::date as d")
    assert session.query("select 1") == [(1,)]
