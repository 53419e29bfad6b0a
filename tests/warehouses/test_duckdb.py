"""What is DuckDB's own, on real files; what it shares with others is in test_conformance.py."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dagster_models.core.commit import Commit
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.tasks import AttemptId, CsvFile, Query
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import CONFLICT_RETRIES, Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession, find_proof
from dagster_models.warehouses.duckdb.session import DuckDB, connect
from newer_duckdb import write_newer_file
from paths import environment_of_tests
from systems import instrument
from tasks import sql_task

T = Relation("main", "t")
TASK = sql_task("s.t", "select 'new' as n")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDB]:
    warehouse = connect({"path": str(tmp_path / "w.duckdb")})
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: DuckDB) -> Iterator[WarehouseSession]:
    session = warehouse.session()
    yield session
    session.close()


def test_a_file_of_a_newer_duckdb_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    write_newer_file(file)
    with pytest.raises(WarehouseError) as raised:
        connect({"path": str(file)})
    assert raised.value.kind is ErrorKind.VERSION_MISMATCH
    newer = f"{file} was written by a newer DuckDB than {duckdb.__version__}"
    assert raised.value.message.startswith(newer)


TYPED = """
select 1 as id, 'a' as "A b", 1.5::decimal(9, 2) as d, [[1]] as l, [1, 2]::int[2] as arr, null as n,
    {'a': 1, 'b': [{'x y': 1}]} as s, map {'a': 1} as m, 'a'::enum ('a', 'b''c') as e,
    union_value(k := 1) as un, '1'::json as j, now() as ts, timetz '10:00:00+01' as tz,
    timestamp_ns '2020-01-01' as ns, interval 1 day as i, 1::hugeint as h, 1::utinyint as ut,
    1::float as f, 'a'::blob as bl, 1::bit as bi, uuid() as uu, 1::bignum as v,
    'a' collate nocase as c, 'x'::moo as z, {'q': 'x'::moo} as zz
"""


@pytest.mark.parametrize("kind", ["table", "view"])
def test_columns_and_their_types_are_those_that_describe_shows(
    session: WarehouseSession, kind: str
) -> None:
    session.execute("create type moo as enum ('x', 'y')")
    session.execute(f"create {kind} t as {TYPED}")
    described = session.query("describe main.t")[1]
    assert len(described) == 25
    assert session.columns(T) == tuple((name, type_) for name, type_, *_ in described)
    with pytest.raises(WarehouseError) as raised:
        session.columns(Relation("main", "missing"))
    assert raised.value.kind is ErrorKind.MISSING_RELATION


def test_settings_reach_the_database(tmp_path: Path) -> None:
    warehouse = connect({"path": str(tmp_path / "s.duckdb"), "memory_limit": "1GiB", "threads": 1})
    session = warehouse.session()
    assert session.query("select current_setting('memory_limit'), current_setting('threads')")[
        1
    ] == [("1.0 GiB", 1)]
    session.close()
    warehouse.close()


ODD = [
    "a,b",
    "a?b",
    "a{b,c}",
    "a[b]c",
    "a*b",
    "back\\slash",
    'quo"te',
    "new\nline",
    "a;b",
    "a=b",
    "caf\udce9",
]


@pytest.mark.parametrize("name", ODD)
def test_files_are_found_below_a_folder_of_any_name(
    tmp_path: Path, warehouse: DuckDB, name: str
) -> None:
    """Relative ones of the project in SQL, by name and by pattern, and seeds."""
    for folder, value in ((name, 1), ("axb", 2), ("ab", 3)):  # what a pattern would find, too
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(f"n\n{value}\n")
    folder = str(tmp_path / name)
    session = warehouse.session("s", SessionRequest(folder, {}, {}))
    assert session.query("from 'x.csv'")[1] == [(1,)]
    assert session.query("from read_csv('*.csv')")[1] == [(1,)]
    session.replace_table(T, CsvFile(LoadedFile(f"{folder}/x.csv")))
    assert session.query("from t")[1] == [(1,)]
    session.close()


def test_a_database_below_a_question_mark_is_refused_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a?b").mkdir()
    with pytest.raises(WarehouseError, match=r"takes the `[?]` in .* for the start of parameters"):
        connect({"path": str(tmp_path / "a?b" / "w.duckdb")})
    assert not list((tmp_path / "a?b").iterdir())


@pytest.mark.parametrize("name", ["a\\b/w.duckdb", "a\\b.duckdb"])
def test_a_backslash_does_not_lead_to_a_database_of_another_folder(
    tmp_path: Path, name: str
) -> None:
    """DuckDB 1 opens the file with that name; DuckDB 2 would open a/b..., so it is refused."""
    path, other = tmp_path / name, tmp_path / name.replace("\\", "/")
    for file, value in ((path, "asked for"), (other, "another")):
        file.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(tmp_path / "made.duckdb")) as connection:
            connection.execute(f"create table t as select '{value}' as n")
        (tmp_path / "made.duckdb").rename(file)
    attached = {"shop": {"duckdb": str(path)}}
    for settings, table in (
        ({"path": str(path)}, "t"),
        ({"path": str(tmp_path / "w.duckdb"), "attach": attached}, "shop.t"),
    ):
        with contextlib.ExitStack() as opened:
            if not duckdb.__version__.startswith("1."):
                opened.enter_context(pytest.raises(WarehouseError, match="for a slash"))
            warehouse = connect(settings)
            opened.callback(warehouse.close)
            assert warehouse.session("s").query(f"select n from {table}")[1] == [("asked for",)]


def test_a_step_is_published_without_pandas(tmp_path: Path) -> None:
    """DuckDB imports it with the first parameters of a statement: 0.3 s of each first step."""
    program = (
        "import sys; from test_duckdb import *\n"
        "session = connect({'path': sys.argv[1]}).session()\n"
        "session.prepare(['s'])\n"
        "assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED\n"
        "assert len(session.last_proofs()) == 1\n"
        "assert not {'pandas', 'numpy'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "w.duckdb")]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parent,
        env=environment_of_tests(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["it's", 'a"b', "back\\slash", "two\nlines", "ü\t$1 ? ;--"])
def test_a_commit_record_keeps_every_name(session: WarehouseSession, name: str) -> None:
    session.prepare([])
    commit = Commit(name, name, 2, name, name, {name: name}, None)
    session.write_record(commit)
    found = find_proof(session, None, AttemptId(name, name, 2))
    assert found is not None
    assert replace(found, committed_at="") == commit


def test_a_missing_table_is_never_a_python_variable(session: WarehouseSession) -> None:
    path = statement = sql = relation = 1
    assert path == statement == sql == relation
    for name in ("path", "statement", "sql", "self", "relation"):
        with pytest.raises(WarehouseError) as caught:
            session.replace_table(T, Query(f"select * from {name}"))
        assert caught.value.name == "CatalogException"


def test_a_pivot_is_one_query_and_stays_in_its_transaction(session: WarehouseSession) -> None:
    session.execute("create table p as select range % 3 as k, range as v from range(10)")
    pivot = "pivot p on k using sum(v)"
    session.begin()
    assert session.replace_table(T, Query(pivot)) == 1
    assert session.count(pivot) == 1
    session.rollback()
    assert session.query("select table_name from duckdb_tables()")[1] == [("p",)]


def test_columns_have_the_warehouses_types(session: WarehouseSession) -> None:
    session.replace_view(T, "select 1.5::decimal(9,2) as d, [1] as l, {'a': 'x'} as s")
    assert session.columns(T) == (
        ("d", "DECIMAL(9,2)"),
        ("l", "INTEGER[]"),
        ("s", "STRUCT(a VARCHAR)"),
    )


# Seeds -------------------------------------------------------------------------------------------


def seed(session: WarehouseSession, path: Path, text: str, **types: str) -> int:
    path.write_text(text)
    return session.replace_table(T, CsvFile(LoadedFile(str(path)), types))


def test_a_seed_with_a_bad_value(session: WarehouseSession, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", "n\n1\noops\n", n="INTEGER")
    assert caught.value.line == 3
    assert "`oops` is not exactly a value of the declared type INTEGER" in caught.value.message
    assert "read_csv" not in caught.value.message


# Transactions and records ------------------------------------------------------------------------


def test_load_replaces_a_view(session: WarehouseSession, tmp_path: Path) -> None:
    session.execute("create view v as select 'old' as n; create table kept as select 1 as n")
    path, rows = session.export("select 'new' as n", [str(tmp_path)])
    assert rows == 1
    session.begin()
    session.execute("insert into kept values (2)")
    with pytest.raises(WarehouseError, match="is of type View"):
        session.load(path, "v", "replace")  # it would take the insert with it
    session.rollback()
    assert session.load(path, "v", "replace") == 1
    assert not session.in_transaction
    assert session.query("from v")[1] == [("new",)]
    assert session.load(path, "v", "append") == 1


def test_an_export_names_the_users_lines(session: WarehouseSession, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.export("select 1,\n nope", [str(tmp_path)])
    assert caught.value.line == 2
    with pytest.raises(WarehouseError) as caught:
        session.export(
            "select cast(case when range = 99999 then 'x' else '1' end as int) from range(100000)",
            [str(tmp_path)],
        )
    assert (caught.value.name, caught.value.line) == ("ConversionException", None)
    assert "LINE" not in caught.value.message
    assert list(tmp_path.glob("*.arrow")) == []


def test_a_closed_session_has_rolled_back(warehouse: DuckDB, tmp_path: Path) -> None:
    session = warehouse.session()
    session.begin()
    session.replace_table(T, Query("select 1 as n"))
    session.close()
    session.close()
    warehouse.close()
    with duckdb.connect(str(tmp_path / "w.duckdb")) as direct:
        assert direct.sql("select count(*) from duckdb_tables()").fetchall() == [(0,)]


# Conflicts ---------------------------------------------------------------------------------------


def test_a_write_conflict_is_tried_again(warehouse: DuckDB, session: WarehouseSession) -> None:
    session.prepare(["s"])
    session.execute("create table s.t as select 'old' as n")
    other = warehouse.session()
    other.begin()
    other.replace_table(Relation("s", "t"), Query("select 'theirs' as n"))
    # The other one gives way when the first try has lost.
    session = instrument(session, before_rollback=other.rollback)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [("new",)]
    other.close()


def test_a_write_conflict_that_stays_is_transient(
    warehouse: DuckDB, session: WarehouseSession
) -> None:
    session.prepare(["s"])
    session.execute("create table s.t as select 'old' as n")
    other = warehouse.session()
    other.begin()
    other.replace_table(Relation("s", "t"), Query("select 'theirs' as n"))
    tries: list[int] = []
    session = instrument(session, before_rollback=lambda: tries.append(1))
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.transient
    assert len(tries) == CONFLICT_RETRIES + 1
    other.commit()
    assert session.query("select n from s.t")[1] == [("theirs",)]
    other.close()


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "99999999999999999999999999999999999999::hugeint",
            "99999999999999999999999999999999999999",
        ),
        ("2::uhugeint", "2"),
        ("'10:00:00+02'::timetz", "10:00:00+02"),
        ("'10101'::bit", "10101"),
        ("[2::uhugeint]", "[2]"),
        ("{'b': '01'::bit, 'n': 1::hugeint}", "{'b': 01, 'n': 1}"),
        ("map {'k': '10:00:00+02'::timetz}", "{k='10:00:00+02'}"),
        ("123456789012345678901234567890::bignum", "123456789012345678901234567890"),
        ("interval '100 years 3 days 5 seconds'", "100 years 3 days 00:00:05"),
    ],
)
def test_values_that_arrow_has_no_type_for_survive_a_copy(
    session: WarehouseSession, tmp_path: Path, expression: str, value: str
) -> None:
    path, _ = session.export(f"select {expression} as v, 1 as v", [str(tmp_path)])
    table = bulk.read(path).rename_columns(["v", "w"])
    session.load(bulk.write([str(tmp_path)], table.schema, table.to_batches())[0], "t", "replace")
    assert session.query("select v::varchar, w from t")[1] == [(value, 1)]


@pytest.mark.parametrize(
    "expression",
    [
        "340282366920938463463374607431768211455::uhugeint",
        "(-170141183460469231731687303715884105728)::hugeint",
        "interval '9223372036854 seconds'",
        "1::variant",
    ],
)
def test_a_value_that_arrow_cannot_hold_is_refused_by_name(
    session: WarehouseSession, tmp_path: Path, expression: str
) -> None:
    with pytest.raises(WarehouseError, match=r"column '?total'?"):
        session.export(f"select {expression} as total", [str(tmp_path)])


def test_arrow_that_duckdb_does_not_take_names_column_and_row(
    session: WarehouseSession, tmp_path: Path
) -> None:
    import pyarrow as pa  # here, as a test above imports this module without numpy

    for values, said in (
        (pa.array([{}]), "column 'v' holds dicts without a key"),
        (pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())), "row 1"),
        (pa.array([Decimal(1), Decimal("1" * 39)], pa.decimal256(39, 0)), "column 'v', row 1"),
    ):
        table = pa.table({"v": values})
        path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
        with pytest.raises(WarehouseError, match=said):
            session.load(path, "t", "replace")
