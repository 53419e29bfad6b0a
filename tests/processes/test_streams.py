"""Tables that a generator yields: converted one at a time, and published as one table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dagster_models.core.messages import Verdict
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.client.tables import to_arrow
from systems import System
from worker_driver import Driver


def rows(*tables: Any) -> list[dict[str, Any]]:
    stream = to_arrow(iter(tables), "the table")
    found: list[dict[str, Any]] = pa.Table.from_batches(list(stream), stream.schema).to_pylist()
    return found


def test_tables_of_any_kind_become_the_parts_of_one() -> None:
    parts = [
        pl.DataFrame({"n": [1], "t": ["a"]}),
        pd.DataFrame({"t": ["b"], "n": [2]}),  # the columns go by their names
        [{"n": 3, "t": None}],
        pa.table({"n": pa.array([4], pa.int8()), "t": ["d"]}),
        pa.table({"n": pa.array([5], pa.float64()), "t": ["e"]}).to_reader(),
        pa.table({"n": [None], "t": [None]}),
    ]
    names = "abNde"
    assert rows(*parts) == [
        *({"n": n, "t": None if t == "N" else t} for n, t in enumerate(names, 1)),
        {"n": None, "t": None},
    ]


def test_only_one_part_is_taken_at_a_time() -> None:
    taken = []

    def parts() -> Iterator[Any]:
        for n in range(5):
            taken.append(n)
            yield [{"n": n}]

    stream = to_arrow(parts())
    assert taken == [0]
    for n, batch in enumerate(stream):
        assert (taken[-1], batch.to_pylist()) == (n, [{"n": n}])


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([{"n": "1"}], "column 'n' of part 2 of the table is of type string, and of type int64"),
        ([{"n": 1.5}], r"column 'n' of part 2 of the table, row 0 .*: 1.5 has no equal value"),
        ([{"n": 1, "m": 2}], "the columns of part 2 of the table .* only one has 'm'"),
        ([{"N": 1}], "only one has 'N', 'n'"),
        ([{"n": True}], "is of type bool, and of type int64 in part 1: give it one type"),
        (7, "part 2 of the table is of type int, not a table"),
        (iter([[{"n": 1}]]), "part 2 of the table is an iterator itself; yield its tables"),
        ([], "part 2 of the table is an empty list, which has no columns"),
    ],
)
def test_a_part_that_differs_is_refused_by_name(later: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        rows([{"n": 1}], later)


def test_no_part_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="has no columns: yield an empty frame"):
        to_arrow(iter(()), "the table")
    assert rows(pd.DataFrame({"n": pd.Series(dtype="int64")})) == []


# In a step ---------------------------------------------------------------------------------------


@pytest.fixture
def db(system: System) -> Iterator[Session]:
    with connect(system.address) as session:
        session.prepare(["main"])
        yield session


@pytest.fixture
def worker(tmp_path: Path, system: System, db: Session) -> Iterator[Driver]:
    folder = tmp_path / "project"
    folder.mkdir()
    driver = Driver(folder, system.address)
    yield driver
    driver.close()


def left(session: Session) -> list[str]:
    """The files of streams that still lie about."""
    return [
        str(path) for folder in session.lasting_folders for path in Path(folder).glob("*.arrow")
    ]


@pytest.mark.slow
def test_a_generator_is_published_in_one_act_and_may_read_the_warehouse(
    worker: Driver, db: Session
) -> None:
    source = """
    import threading
    import pandas
    def model(warehouse):
        for n in range(3):
            found = []
            reader = threading.Thread(
                target=lambda: found.extend(warehouse.sql(f"select {n} as n").fetchall())
            )
            reader.start()
            reader.join()
            yield pandas.DataFrame({"n": [found[0][0]] * 1000, "t": "x"})
    """
    outcome = worker.run("python", source)
    assert (outcome.verdict, outcome.rows, outcome.error) == (Verdict.COMMITTED, 3000, None)
    found = db.query("select n, count(*) from main.built group by n order by n")
    assert found == [(0, 1000), (1, 1000), (2, 1000)]
    assert left(db) == []


@pytest.mark.slow
def test_what_a_generator_raises_is_the_users_own_error(worker: Driver, db: Session) -> None:
    assert worker.run("python", "def model(w): return [{'n': 0}]").verdict is Verdict.COMMITTED
    source = """
    def model(warehouse):
        yield [{"n": 1}]
        raise ValueError("no more of these")
    """
    outcome = worker.run("python", source)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.USER_CODE
    assert (outcome.error.message, outcome.error.line) == ("no more of these", 4)
    assert "in model" in outcome.error.traceback
    assert db.query("select n from main.built") == [(0,)]
    assert left(db) == []


@pytest.mark.slow
def test_a_cancel_stops_a_generator_that_never_ends(worker: Driver, db: Session) -> None:
    source = """
    def model(warehouse):
        yield [{"n": 1}]
        print("on")
        while True:
            yield [{"n": 2}]
    """
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED
    assert left(db) == []


@pytest.mark.slow
def test_a_script_loads_a_generator(worker: Driver, db: Session) -> None:
    source = """
    from dagster_models import warehouse
    def parts():
        for n in range(3):
            yield [{"n": n + row[0]} for row in warehouse.sql("select 1").fetchall()]
    warehouse.load(parts(), "main.made")
    """
    assert worker.run("script", source).verdict is Verdict.DONE
    assert sorted(db.query("select n from main.made")) == [(1,), (2,), (3,)]
    assert left(db) == []
