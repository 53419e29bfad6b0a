"""Models with `materialized: copy`: from PostgreSQL to DuckDB and back, by real processes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from addresses import duckdb_at, postgres_at
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.copied import Copied
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Key
from dagster_models.core.target_types import own_types
from dagster_models.core.tasks import ArrowFile, PythonTask
from dagster_models.errors import WarehouseError
from dagster_models.execution.single import run_alone
from dagster_models.processes import wire
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.worker.copy import copy_rows
from dagster_models.processes.worker.model_table import build
from dagster_models.project.targets import usable_target
from on_postgres import backends, until
from project_cases import make
from worker_driver import Driver

YAML = """name: p
target: dev
targets:
  dev: {type: duckdb, path: w.duckdb}
  pg: {type: postgres, dsn: "${DATABASE_URL}"}
"""
HISTORIES = int(os.environ.get("DAGSTER_MODELS_TEST_HISTORIES", "3"))


@dataclass
class Pair:
    """Two warehouses, whose processes stay for all tests of this module."""

    folder: Path
    duck: Session
    pg: psycopg.Connection


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres_of_module: str) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("copies")
    with (
        pytest.MonkeyPatch.context() as patch,
        connect(duckdb_at(folder / "w.duckdb")) as duck,
        connect(postgres_at(postgres_of_module)) as other,
        psycopg.connect(postgres_of_module, autocommit=True) as admin,
    ):
        patch.setenv("DATABASE_URL", postgres_of_module)
        for session in (duck, other):
            session.prepare(["s", "shop"])
        yield Pair(folder, duck, admin)


@pytest.fixture(autouse=True)
def _empty(pair: Pair) -> None:
    for name in ("s.t", "s.back", "shop.t"):
        pair.pg.execute(f"drop table if exists {name}".encode())
        pair.duck.execute(f"drop table if exists {name}")


def step_of(folder: Path, text: str, name: str = "t", target: str = "dev") -> TargetStep:
    project = make(folder, {"dagster_models.yaml": YAML, f"models/s/{name}.sql": text})
    assert project.warnings == ()
    return TargetStep(project, project.steps[Key("s", name)], usable_target(project, target))


_attempts = iter(range(1, 1_000_000))


def unchecked(session: Session, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    raise AssertionError(f"a copy has no check in Python: {asked}")


def copied(step: TargetStep) -> Outcome:
    """The same as a step's process does, in this one."""
    task = task_for(step, "r", next(_attempts))
    assert isinstance(task, PythonTask)
    assert task.copied is not None
    how, here = task.materialization, step.address
    connection = StepConnection(lambda: connect(here))
    try:
        question = task.build_from(ArrowFile(""))
        reading = connection.use(lambda session: session.read_before(question))
        rows = copy_rows(task.copied, how, reading, here, connection, connect)
        # On disk, and where the end of the other warehouse's process does not remove it.
        folder = os.path.dirname(rows.path)
        assert folder in connection.use(lambda session: session.lasting_folders)
        assert not folder.startswith("/dev/shm/")
        outcome = connection.use(
            lambda session: build(session, task, rows.path, reading, unchecked, ())
        )
        assert not os.path.exists(rows.path)
        return replace(outcome, notes=(*rows.notes, *outcome.notes))
    finally:
        connection.close()


def done(step: TargetStep) -> Outcome:
    outcome = copied(step)
    assert outcome.verdict is Verdict.COMMITTED, outcome.error and outcome.error.message
    return outcome


ROWS = """
create table s.t (i8 bigint, i4 int, i2 smallint, b boolean, f4 real, f8 float8, n numeric(9,2),
    x text, y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, a int[], ta text[],
    v varchar(7));
insert into s.t values
    (1, 2, 3, true, 1.5, 0.1, 12.30, 'a,"b' || chr(10) || '√' , '\\x00ff', '0001-01-01',
     '23:59:59.999999', '2024-02-29 12:00:00.000001', '2024-07-01 12:00+05',
     '14 months -3 days 04:05:06.000007', array[1, null, 3], array['x,y', null, '"'], 'n'),
    (9223372036854775807, -2147483648, -32768, false, 'NaN', '-Infinity', -9999999.99, '', '',
     '9999-12-31', '00:00', '1969-12-31 23:59:59.999999', '0001-01-02 00:00+00', '-1 microsecond',
     '{}', '{}', ''),
    (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null)
"""


def test_values_come_back_as_they_were(pair: Pair) -> None:
    """Each step in a process of its own, as in a run."""
    pair.pg.execute(ROWS.encode())
    there = run_alone(
        step_of(pair.folder, "/* @model\nmaterialized: copy\nfrom: pg\n*/\nselect * from s.t\n"),
        "r1",
        1,
    )
    assert there.outcome.error is None, there.outcome.error.message
    assert there.outcome.rows == 3
    assert there.outcome.notes == ()
    text = "/* @model\nmaterialized: copy\nfrom: dev\nalias: back\n*/\nselect * from s.t"
    back = run_alone(step_of(pair.folder, text, target="pg"), "r2", 1)
    assert back.outcome.error is None, back.outcome.error.message
    for one, other in (("t", "back"), ("back", "t")):
        query = f"select * from s.{one} except all select * from s.{other}"
        assert pair.pg.execute(query.encode()).fetchall() == []
    types = "select attname, atttypid::regtype from pg_attribute where attnum > 0 and"
    types += " attrelid = 's.{}'::regclass order by attnum"
    (before, after) = (
        pair.pg.execute(types.format(it).encode()).fetchall() for it in ("t", "back")
    )
    assert after == [(n, "text" if n == "v" else t) for n, t in before]


ORDERS = """/* @model
materialized: copy
from: pg
unique_key: id
since: {column: changed, lookback: 1d}
*/
select * from shop.t
"""


def test_only_what_is_later_than_the_cursor_is_copied(pair: Pair) -> None:
    pair.pg.execute(b"create table shop.t (id int, changed timestamp, x text)")
    pair.pg.execute(
        b"insert into shop.t values (1, '2024-01-01', 'a'), (2, '2024-01-05', 'b'), (3, null, 'c')"
    )
    step = step_of(pair.folder, ORDERS)
    first = done(step).changes
    assert first is not None
    assert (first.kind, first.inserted) == ("whole", 3)
    # Within the lookback, before it, and new ones with the time of the last and a later one.
    pair.pg.execute(b"update shop.t set x = 'B', changed = '2024-01-04 12:00' where id = 2")
    pair.pg.execute(b"update shop.t set x = 'lost', changed = '2024-01-02' where id = 1")
    pair.pg.execute(b"insert into shop.t values (4, '2024-01-05', 'd'), (5, '2024-02-01', 'e')")
    second = done(step).changes
    assert second is not None
    assert (second.inserted, second.updated, second.deleted) == (2, 1, 0)
    rows = pair.duck.query("select id, x from s.t order by id")
    assert rows == [(1, "a"), (2, "B"), (3, "c"), (4, "d"), (5, "e")]
    third = done(step).changes
    assert third is not None
    assert (third.inserted, third.updated) == (0, 0)
    whole = done(replace(step, full_refresh=True)).changes
    assert whole is not None
    assert whole.kind == "whole"
    assert pair.duck.query("select x from s.t where id = 1") == [("lost",)]


def test_without_a_key_rows_past_the_cursor_are_appended(pair: Pair) -> None:
    """From DuckDB to PostgreSQL, from a beginning on; the numbers are of another type there."""
    pair.duck.execute(
        "create table shop.t as select i::uinteger as id, i % 3 as k from range(10) t(i)"
    )
    text = (
        "/* @model\nmaterialized: copy\nfrom: dev\nsince: {column: id, begin: 4}\n*/\nfrom shop.t"
    )
    step = step_of(pair.folder, text, target="pg")
    assert done(step).notes == ("column id: its type UINTEGER is stored as bigint",)
    pair.duck.execute("insert into shop.t values (2, 0), (10, 7), (11, 8)")
    changes = done(step).changes
    assert changes is not None
    assert changes.inserted == 2
    assert pair.pg.execute(b"select id from s.t order by id").fetchall() == [
        (it,) for it in (*range(4, 10), 10, 11)
    ]


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_table_whose_cursor_grows_is_the_same_after_each_copy(seed: int, pair: Pair) -> None:
    """Random inserts and updates, each with a later time, or that of the last; some runs fail. To
    DuckDB and to PostgreSQL by turns."""
    source, now = random.Random(seed), 0
    in_pg: Callable[[str], Any] = lambda sql: pair.pg.execute(sql.encode())  # noqa: E731
    write, there, here = in_pg, "pg", "dev"
    if seed % 2:
        write, there, here = pair.duck.execute, "dev", "pg"
    write("create table shop.t (id int primary key, changed timestamptz, x text)")
    text = ORDERS.replace(", lookback: 1d", "").replace("from: pg", f"from: {there}")
    step = step_of(pair.folder, text, target=here)
    for _ in range(6):
        for _ in range(source.randint(0, 5)):
            now += source.choice([0, 1, 3_600_000_000])
            x = source.choice(["null", "''", "'a'", "'b''\"\n'"])
            write(
                f"insert into shop.t values ({source.randint(1, 6)}, timestamptz"
                f" '2024-03-31 00:30:00+01' + interval '{now} microseconds', {x})"
                " on conflict (id) do update set changed = excluded.changed, x = excluded.x"
            )
        if source.random() < 0.3:
            broken = text.replace("shop.t", "shop.t where cast(id || '!' as integer) = 1")
            with suppress(WarehouseError):  # where a row is read
                copied(replace(step, step=replace(step.step, sql=broken)))
        done(step)
        query = "select id, changed, x from {}.t order by id"
        names = ("shop", "s") if there == "pg" else ("s", "shop")
        in_postgres = in_pg(query.format(names[0])).fetchall()
        assert [tuple(row) for row in pair.duck.query(query.format(names[1]))] == in_postgres


def test_rows_that_are_to_last_are_on_disk(pair: Pair) -> None:
    """They may be more than memory holds."""
    answer = pair.duck.request({"op": "export", "sql": "select 1 as n", "lasting": True})
    assert os.path.dirname(answer["path"]) == pair.duck.lasting_folders[0]
    assert not answer["path"].startswith("/dev/shm/")
    os.unlink(answer["path"])


# --- types ---------------------------------------------------------------------------------------

#: Values of types that have no equal in the other warehouse: what is refused, by name and type.
REFUSED = {
    "pg": {
        "1.5::numeric": "numeric",
        "1::numeric(50,2)": "numeric(50,2)",
        "0.0001::numeric(2,5)": "numeric(2,5)",
        "'a'::char(3)": "bpchar",
        "'1.2.3.4'::inet": "inet",
        "1::money": "money",
        "'12:00+02'::timetz": "timetz",
        "point '(1,2)'": "point",
        "array[1.5]": "numeric[]",
        "array['1.2.3.4'::inet]": "inet[]",
        "int4range(1, 2)": "int4range",
    },
    "dev": {
        "1::uhugeint": "UHUGEINT",
        "'2024-01-01'::timestamp_ns": "TIMESTAMP_NS",
        "'12:00+02'::timetz": "TIME WITH TIME ZONE",
        "'101'::bit": "BIT",
        "{a: 1}": "STRUCT(a INTEGER)",
        "map {'a': 1}": "MAP(VARCHAR, INTEGER)",
        "[[1]]": "INTEGER[][]",
        "[1.5]": "DECIMAL(2,1)[]",
        "'a'::enum('a', 'b')": "ENUM('a', 'b')",
    },
}


@pytest.mark.parametrize("there", REFUSED)
def test_what_has_no_equal_is_refused_with_column_and_type(pair: Pair, there: str) -> None:
    values = ", ".join(f"{value} as c{at}" for at, value in enumerate(REFUSED[there]))
    here = "dev" if there == "pg" else "pg"
    step = step_of(
        pair.folder,
        f"/* @model\nmaterialized: copy\nfrom: {there}\n*/\nselect 1 as ok, {values}",
        target=here,
    )
    with pytest.raises(WarehouseError) as raised:
        copied(step)
    listed = ", ".join(f"c{at} ({type_})" for at, type_ in enumerate(REFUSED[there].values()))
    assert f"no type with the same values here: {listed}. Cast" in raised.value.message


@pytest.mark.parametrize("there", ["pg", "dev"])
def test_each_form_is_stored_as_it_says(pair: Pair, there: str) -> None:
    """The types of the table, as its warehouse names them, are those that the notes speak of."""
    here = "dev" if there == "pg" else "pg"
    project = make(pair.folder, {"dagster_models.yaml": YAML, "models/s/x.sql": "select 1 as n"})
    forms = {name: project.targets[name].type.copy_forms for name in (there, here)}
    types = [*forms[there].reads, f"{forms[there].number}(9,2)", "date[]"]
    if there == "pg":
        types.append("float8[]")
    listed = ", ".join(f"cast(null as {type_}) as c{at}" for at, type_ in enumerate(types))
    header = f"/* @model\nmaterialized: copy\nfrom: {there}\n*/"
    outcome = done(step_of(pair.folder, f"{header}\nselect {listed}", target=here))
    assert [
        (f"c{at}", forms[here].type_of(forms[there].form(it))) for at, it in enumerate(types)
    ] == [*outcome.columns]
    noted = [at for at, it in enumerate(types) if forms[there].form(it) in forms[here].notes]
    assert [note.split(":")[0] for note in outcome.notes] == [f"column c{at}" for at in noted]


@pytest.mark.parametrize(
    ("there", "value"),
    [
        ("pg", "'NaN'::numeric(9,2)"),
        ("pg", "array[array[1, 2], array[3, 4]]"),
        ("pg", "date 'infinity'"),
        ("pg", "timestamp '-infinity'"),
        ("pg", "timestamp '10000-01-01'"),
        ("dev", "date 'infinity'"),
        ("dev", "timestamp 'infinity'"),
        ("dev", "timestamptz '-infinity'"),
        ("dev", "'a' || chr(0)"),
        ("dev", "date '0044-03-15 (BC)'"),
        ("dev", "date '5877642-01-01'"),
        ("dev", "170141183460469231731687303715884105727::hugeint"),
    ],
)
def test_a_value_without_an_equal_is_an_error_and_never_another_value(
    pair: Pair, there: str, value: str
) -> None:
    here = "dev" if there == "pg" else "pg"
    header = f"/* @model\nmaterialized: copy\nfrom: {there}\n*/"
    # Its own warehouse takes the value.
    done(step_of(pair.folder, f"{header}\nselect count({value}) as c", target=here))
    step = step_of(pair.folder, f"{header}\nselect {value} as c", target=here)
    try:
        outcome = copied(step)
    except WarehouseError:
        return
    assert outcome.verdict is Verdict.ROLLED_BACK, f"it was stored as {_stored(step)}"


def _stored(step: TargetStep) -> list[tuple[Any, ...]]:
    with connect(step.address) as session:
        return session.query("select c::text from s.t")


# --- what goes wrong -----------------------------------------------------------------------------


def test_an_error_of_the_query_names_its_line_and_leaves_the_table(pair: Pair) -> None:
    header = "/* @model\nmaterialized: copy\nfrom: pg\n*/\n"
    done(step_of(pair.folder, f"{header}select 7 as n"))
    step = step_of(pair.folder, f"{header}select\n  1 as n,\n  nothing as m")
    result = run_alone(step, "r3", 1)
    assert result.outcome.verdict is Verdict.ROLLED_BACK
    assert result.outcome.error is not None
    assert result.outcome.error.line == 7
    assert "nothing" in result.outcome.error.message
    assert pair.duck.query("from s.t") == [(7,)]


def test_a_copy_within_one_database_is_refused(pair: Pair) -> None:
    step = step_of(
        pair.folder, "/* @model\nmaterialized: copy\nfrom: pg\n*/\nselect 1 as n", target="pg"
    )
    with pytest.raises(WarehouseError, match="`from: pg` is the database in which this run builds"):
        copied(step)


@pytest.mark.parametrize("column", ["x", "f"])
def test_a_cursor_that_other_warehouses_order_otherwise_is_refused(pair: Pair, column: str) -> None:
    header = f"/* @model\nmaterialized: copy\nfrom: pg\nsince: {column}\n*/\n"
    step = step_of(pair.folder, f"{header}select 'a' as x, 0.5::float8 as f")
    done(step)
    with pytest.raises(WarehouseError, match="`since` names a column whose largest value is"):
        copied(step)


RUNNING = "state = 'active' and query like '%generate_series%'"


@pytest.fixture
def copying(pair: Pair) -> Iterator[Driver]:
    """A step that copies the rows of a query that runs for long."""
    endless = "select count(*) as n from generate_series(1, 1000000) a(i),"
    endless += " generate_series(1, 1000000) b(j) where i::bigint * j % 7 = 8"
    address = postgres_at(os.environ["DATABASE_URL"])
    pair.duck.execute("create or replace table main.built as select 7 as n")
    driver = Driver(pair.folder, duckdb_at(pair.folder / "w.duckdb"))
    driver.start("python", "", copied=Copied("pg", address.to_json(), endless))
    until(lambda: backends(pair.pg, RUNNING))
    yield driver
    until(lambda: not backends(pair.pg, RUNNING))
    assert pair.duck.query("from main.built") == [(7,)]
    driver.close()


def test_a_stop_ends_the_query_in_the_other_warehouse(copying: Driver, pair: Pair) -> None:
    wire.send(copying.control, {"op": "cancel"})
    assert copying.answer().verdict is Verdict.CANCELED
    assert not backends(pair.pg, RUNNING)


def test_the_end_of_the_step_ends_the_query_in_the_other_warehouse(copying: Driver) -> None:
    os.kill(copying.pid(), signal.SIGKILL)
    copying.ends()


def test_the_end_of_the_other_warehouses_process_is_an_error(copying: Driver) -> None:
    """And nothing is in doubt: the step's own warehouse was not asked for anything yet."""
    with connect(postgres_at(os.environ["DATABASE_URL"])) as other:
        os.kill(other.server_pid, signal.SIGKILL)
    outcome = copying.answer()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None


#: A copy of such values is refused.
_NO_TYPE = {("spark", "interval"), ("mariadb", "interval")}


def test_every_type_of_warehouse_has_forms() -> None:
    for row in own_types().values():
        for form in {*row.copy_forms.reads.values()}:
            for other in own_types().values():
                lacks = (other.name, form) in _NO_TYPE
                assert bool(other.copy_forms.type_of(form)) != lacks, (row.name, form, other.name)
