"""Unit tests of models: what a test says of a build is what a real build does, and it leaves
nothing behind."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from dagster_models._dagster.partitions import PARTITION_TAG, run_partitions
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Project, Target
from dagster_models.core.tasks import BuildTask
from dagster_models.core.unit_tests import UnitTest
from dagster_models.errors import DagsterModelsError, Problem, ProjectError, WarehouseError
from dagster_models.execution.unit_tests import UnitTestRun
from dagster_models.processes.client.rehearsal import rehearse
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.unit_tests.empty import empty_tests
from dagster_models.project.unit_tests.read import read_unit_tests
from dagster_models.reporting.unit_tests import UnitTestResult, terminal_lines
from dagster_models.warehouses.postgres.target import POSTGRES
from paths import REPOSITORY
from project_cases import load, write_project
from systems import System
from tasks import sql_task

SOURCES = """
sources:
  - name: raw
    tables:
      - name: orders
        columns:
          id: {type: integer}
          status: {type: varchar}
          amount: {type: "decimal(18,2)"}
          day: {type: date}
          seen: {type: timestamp}
      - {name: nobody_knows}
"""
SETTINGS = """
name: p
vars: {least: 10}
partitions:
  days: {every: day, start: 2024-01-01, end: 2024-02-01}
"""
MODELS = {
    "table": "/* @model\nmaterialized: table\n*/\nselect id, status, amount from raw.orders",
    "view": "select id, amount + 1 as more from raw.orders where amount >= $least",
    "append": "/* @model\nmaterialized: incremental\nsince: seen\n*/\n"
    "select id, status, seen from raw.orders where seen > /*$since*/ timestamp '2020-01-01'",
    "merge": "/* @model\nmaterialized: incremental\nunique_key: id\nsince: seen\n*/\n"
    "select id, status, seen from raw.orders where seen >= /*$since*/ timestamp '2020-01-01'",
    "both": "/* @model\nmaterialized: incremental\nunique_key: [id]\nstrategy: delete+insert\n*/\n"
    "select id, status from raw.orders",
    "days": "/* @model\nmaterialized: incremental\npartitions: {of: days, by: day}\n*/\n"
    "select day, count(*) as n from raw.orders group by day",
    "history": "/* @model\nmaterialized: snapshot\nunique_key: id\nstrategy: check\n"
    "hard_deletes: invalidate\n*/\nselect id, status from raw.orders",
    "marks": "/* @model\nmaterialized: snapshot\nunique_key: id\nstrategy: check\n"
    "hard_deletes: new_record\n*/\nselect id, status from raw.orders",
    "inside": "/* @model\nmaterialized: ephemeral\n*/\nselect id, amount from raw.orders",
    "twice": "/* @model\nmaterialized: function\narguments: {x: integer}\nreturns: integer\n*/\n"
    "select $x * 2",
    "reader": "select i.id, marts.twice(i.id) as double, t.status\n"
    "from marts.inside as i left join marts.table as t on t.id = i.id",
    "clock": "select id, current_date as today, now() as seen,\n"
    "  cast(timestamptz '2024-01-01 23:30:00+00' as date) as utc_day,\n"
    "  /*$run_started_at*/ timestamp '2020-01-01' as began from raw.orders",
}


@dataclass(frozen=True)
class Trial:
    """A project whose tests run in a warehouse of their own."""

    root: Path
    system: System

    @property
    def target(self) -> Target:
        return Target("own", self.system.address.type, self.system.address.settings)

    def write(self, files: Mapping[str, str]) -> None:
        write_project(self.root, {"dagster_models.yaml": SETTINGS, **files})

    def session(self) -> Session:
        return connect(self.system.address)

    def project(self, tests: Sequence[Mapping[str, Any]] = ()) -> Project:
        text = yaml.safe_dump(list(tests), sort_keys=False)
        self.write({"unit_tests/tests.yaml": text})
        return load(self.root, environ={})

    def results(self, *tests: Mapping[str, Any], tables: bool = False) -> list[UnitTestResult]:
        project = self.project(tests)
        found = read(project)
        tables_of = self.target if tables else None
        return list(UnitTestRun(project, self.target, tables_of).results(found))

    def states(self, *tests: Mapping[str, Any]) -> list[str]:
        return [result.state for result in self.results(*tests)]


def read(project: Project) -> list[UnitTest]:
    problems: list[Problem] = []
    found = read_unit_tests(project, problems.append)
    if problems:
        raise ProjectError(problems)
    return found


@pytest.fixture
def tested(tmp_path: Path, system: System) -> Trial:
    models = {f"models/marts/{name}.sql": text for name, text in MODELS.items()}
    files = {"dagster_models.yaml": SETTINGS, "models/sources.yaml": SOURCES, **models}
    return Trial(write_project(tmp_path / "p", files), system)


def of(model: str, expect: Any, name: str = "t", **more: Any) -> dict[str, Any]:
    return {"model": f"marts.{model}", "name": name, **more, "expect": expect}


# A test and a real build -------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {"id": 1, "status": "paid", "amount": 10.10, "day": "2024-01-05", "seen": "2024-01-05 10:00"},
    {"id": 2, "status": None, "amount": 0.3, "day": "2024-01-05", "seen": "2024-01-06 10:00"},
    {"id": 3, "status": "it's", "amount": None, "day": "2024-01-06", "seen": "2024-01-07 10:00"},
]
#: Model -> what its table held before, and the partition that is built.
CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "table": ([], ""),
    "view": ([], ""),
    "append": ([{"id": 1, "status": "old", "seen": "2024-01-06 09:00"}], ""),
    "merge": (
        [
            {"id": 1, "status": "old", "seen": "2024-01-05 10:00"},
            {"id": 7, "status": "kept", "seen": "2024-01-04 10:00"},
        ],
        "",
    ),
    "both": ([{"id": 1, "status": "old"}, {"id": 7, "status": "kept"}], ""),
    "days": ([{"day": "2024-01-05", "n": 9}, {"day": "2024-01-04", "n": 4}], "2024-01-05"),
    "reader": ([], ""),
}
TYPES = {
    "id": "integer",
    "status": "varchar",
    "amount": "decimal(18,2)",
    "day": "date",
    "seen": "timestamp",
    "n": "bigint",
}


@pytest.mark.parametrize("model", CASES)
def test_it_says_what_a_real_build_does(tested: Trial, model: str) -> None:
    """The oracle is a build that is published, of the same rows in real tables."""
    before, partition = CASES[model]
    given: dict[str, Any] = {"raw.orders": ROWS}
    if before:
        given["this"] = before
    if model == "reader":
        given["marts.table"] = [{"id": 1, "status": "x"}]
    more = {"given": given, **({"partition": partition} if partition else {})}
    expected = really_built(tested, model, given, partition)
    assert expected
    column = next(name for name, value in expected[-1].items() if isinstance(value, int))
    wrong = {**expected[-1], column: expected[-1][column] + 1}
    found = tested.states(
        of(model, expected, "the same rows", **more),
        of(model, expected[::-1], "in another order", **more),
        of(model, [*expected[:-1], wrong], "a value", **more),
        of(model, expected[1:], "one is missing here", **more),
        of(model, [*expected, expected[0]], "one is here twice", **more),
    )
    assert found == ["passed", "passed", "failed", "failed", "failed"]


def empty_states(tested: Trial, *models: str) -> list[tuple[str, str, str]]:
    """(model, "from" or "into", the state) of each of these models, or of all, that is built from
    empty tables."""
    project = tested.project([of("table", [{"id": 1}])])
    found = UnitTestRun(project, tested.target, None)
    states = [
        (it.test.model.name, it.test.name.partition(" ")[0], it.state)
        for it in found.results_one_by_one(
            [it for it in empty_tests(project) if not models or it.model.name in models]
        )
    ]
    with tested.session() as session:
        assert not session.there(
            [relation_for(project, key, tested.target) for key in project.steps]
        )
    return states


def test_each_kind_is_built_from_empty_tables(tested: Trial) -> None:
    """What somebody declares of rows is not asked, and nothing is left."""
    states = empty_states(tested)
    built = set(MODELS) - {"inside", "twice"}
    assert {(name, state) for name, kind, state in states if kind == "from"} == {
        (name, "passed") for name in built
    }
    assert [it for it in states if it[1] == "into"] == [
        (name, "into", "passed") for name in ("append", "both", "history", "marks", "merge")
    ]


def really_built(
    tested: Trial, model: str, given: Mapping[str, Any], partition: str
) -> list[dict[str, Any]]:
    project = tested.project()
    by_name = {step.key.name: step for step in project.steps.values()}
    step, outcome = by_name[model], None
    with tested.session() as session:
        session.prepare(["raw", "marts"])
        for name, rows in given.items():
            put(session, f"marts.{model}" if name == "this" else name, rows)
        for each in (by_name["twice"], step):
            keys = {PARTITION_TAG: partition}
            partitions = run_partitions(each.partitions, keys) if each.partitions else ()
            one = TargetStep(project, each, tested.target, partitions=partitions)
            task = task_for(one, "real", 1)
            assert isinstance(task, BuildTask)
            outcome = session.run(task)
            assert outcome.error is None, outcome.error
        assert outcome is not None
        rows = session.query(f"select * from {relation_for(project, step.key, tested.target)}")
    names = [name for name, _ in outcome.columns]
    return [dict(zip(names, map(plain, row), strict=True)) for row in rows]


def put(session: Session, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(TYPES)[:-1] if name == "raw.orders" else list(rows[0])
    defined = ", ".join(f"{column} {TYPES[column]}" for column in columns)
    session.execute(f"create table {name} ({defined})")
    for row in rows:
        values = (row.get(column) for column in columns)
        listed = [
            "null" if it is None else f"'{str(it).replace(QUOTE, QUOTE * 2)}'" for it in values
        ]
        session.execute(f"insert into {name} values ({', '.join(listed)})")


QUOTE = "'"


def plain(value: Any) -> Any:
    """As a file of tests has it."""
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


#: Where the warehouse decides nothing.
ONE_IS_ENOUGH = pytest.mark.parametrize("system", ["duckdb"], indirect=True)

# What a test says --------------------------------------------------------------------------------


def test_a_snapshot_with_a_clock_that_stands_still(tested: Trial) -> None:
    given = {
        "raw.orders": [{"id": 1, "status": "new"}, {"id": 2, "status": "same"}],
        "this": [
            {"id": 1, "status": "old", "valid_from": "2024-01-01"},
            {"id": 2, "status": "same", "valid_from": "2024-01-01"},
            {"id": 3, "status": "gone", "valid_from": "2024-01-01"},
        ],
    }
    now = "2024-02-01 12:00:00"
    old, new = {"valid_from": "2024-01-01"}, {"valid_from": now, "valid_to": None}
    expected = [
        {"id": 1, "status": "old", **old, "valid_to": now},
        {"id": 1, "status": "new", **new},
        {"id": 2, "status": "same", **old, "valid_to": None},
        {"id": 3, "status": "gone", **old, "valid_to": now},
    ]
    clock = {"now": dt.datetime(2024, 2, 1, 12)}
    assert tested.states(
        of("history", expected, given=given, **clock),
        of("history", expected, "real clock", given=given),
        of("history", [{"id": 9, **new}], "first", given={"raw.orders": [{"id": 9}]}, **clock),
    ) == ["passed", "failed", "passed"]


def test_a_snapshot_that_marks_deletions(tested: Trial) -> None:
    """A version that `this` does not mark is none of a deletion, as in the table of a run."""
    now, old = "2024-02-01 12:00:00", {"valid_from": "2024-01-01"}
    rows = [
        {"id": 1, "status": "gone", **old},
        {"id": 2, "status": "back", **old, "is_deleted": True},
        {"id": 3, "status": "still gone", **old, "is_deleted": True},
    ]
    query = (
        "select 1 as id, 'gone' as status, timestamp '2024-01-01' as valid_from,"
        " cast(null as timestamp) as valid_to"
    )
    given = {"raw.orders": [{"id": 2, "status": "back"}]}
    gone = [
        {"id": 1, "is_deleted": False, **old, "valid_to": now},
        {"id": 1, "is_deleted": True, "valid_from": now, "valid_to": None},
    ]
    back = [
        {"id": 2, "is_deleted": True, **old, "valid_to": now},
        {"id": 2, "is_deleted": False, "valid_from": now, "valid_to": None},
    ]
    still = [{"id": 3, "is_deleted": True, **old, "valid_to": None}]
    new = back[1:]
    clock = {"now": dt.datetime(2024, 2, 1, 12)}
    assert (
        tested.states(
            of("marks", [*gone, *back, *still], given={**given, "this": rows}, **clock),
            of("marks", [*gone, *new], "unmarked", given={**given, "this": rows[:1]}, **clock),
            of("marks", [*gone, *new], "query", given={**given, "this": {"sql": query}}, **clock),
            of(
                "marks",
                [*gone, *new],
                "marked",
                given={**given, "this": {"sql": f"{query}, false as is_deleted"}},
                **clock,
            ),
        )
        == ["passed"] * 4
    )


def test_the_clock_of_a_query_stands_still(tested: Trial) -> None:
    given = {"raw.orders": [{"id": 1}]}
    expected = {
        "today": "2024-02-01",
        "seen": "2024-02-01 23:30:00+00:00",
        "began": "2024-02-01 23:30:00",
        "utc_day": "2024-01-01",
    }
    clock = {"now": dt.datetime(2024, 2, 1, 23, 30)}
    assert tested.states(
        of("clock", [expected], given=given, **clock), of("clock", [expected], "real", given=given)
    ) == ["passed", "failed"]


def test_variables_since_and_a_full_refresh(tested: Trial) -> None:
    given = {"raw.orders": ROWS}
    both = {**given, "this": [{"id": 8, "seen": "2024-01-01"}]}
    assert (
        tested.states(
            of("view", [{"id": 1}], given=given),
            of("view", [{"id": 1}, {"id": 2}], "least", given=given, vars={"least": 0}),
            of("append", [{"id": 3}], "since", given=given, since="2024-01-06 10:00"),
            of("append", [{"id": 1}, {"id": 2}, {"id": 3}], "first", given=given),
            of(
                "merge",
                [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 8}],
                "more",
                given=both,
            ),
            of(
                "merge",
                [{"id": 1}, {"id": 2}, {"id": 3}],
                "f",
                given=both,
                full_refresh=True,
            ),
        )
        == ["passed"] * 6
    )


@ONE_IS_ENOUGH
def test_what_is_not_given_is_empty(tested: Trial) -> None:
    left_join = {"raw.orders": [{"id": 1}]}
    assert (
        tested.states(
            of("table", []),
            of("reader", [{"id": 1, "double": 2, "status": None}], given=left_join),
            of("inside", [{"id": 1, "amount": None}], given=left_join),
        )
        == ["passed"] * 3
    )


def test_rows_of_files_and_queries(tested: Trial) -> None:
    tested.write({"unit_tests/rows.csv": "id,status\n1,paid\n2,\n"})
    query = {"sql": "select 1 as id, 'paid' as status union all select 2, null"}
    expected = [{"id": 1, "status": "paid"}, {"id": 2, "status": None}]
    given = {"raw.orders": {"csv": "rows.csv"}}
    assert tested.states(
        of("table", expected, given=given),
        of("table", {"csv": "rows.csv"}, "csv", given=given),
        of("table", {"csv": "status,id\n,2\npaid,1\n"}, "inline", given=given),
        of("table", query, "sql", given={"raw.orders": {**query, "sql": QUERY}}),
        of("table", {"sql": "select 3 as id"}, "wrong", given=given),
        of("table", {"sql": "select 3 as nothing"}, "no column", given=given),
        of("table", [], "no query", given={"raw.orders": {"sql": "select 1/'x' as id"}}),
    ) == ["passed"] * 4 + ["failed", "wrong", "wrong"]


def test_a_query_of_rows_that_lacks_columns(tested: Trial) -> None:
    """Columns whose types are known are there, as for rows that are written out. Of others the
    error is at the place of the rows, and not in the model."""
    models = {"all_of": "select * from raw.orders", "u": "select a + 1 as b from raw.nobody_knows"}
    tested.write({f"models/marts/{name}.sql": text for name, text in models.items()})
    expected = [{"id": 1, "status": None, "amount": None, "day": None, "seen": None}]
    given = {"raw.orders": {"sql": "select 1 as id"}}
    lacks = of("u", [], given={"raw.nobody_knows": {"sql": "select 1 as c"}})
    results = tested.results(
        of("table", [{"id": 1, "status": None, "amount": None}], given=given),
        of("all_of", expected, given=given),
        lacks,
    )
    assert [it.state for it in results] == ["passed", "passed", "wrong"]
    lines = results[-1].error.splitlines()
    assert lines[0] == (
        "unit_tests/tests.yaml:23:12: `given raw.nobody_knows`: no column a is there, and marts.u"
        " reads it"
    )
    assert lines[1].startswith("models/marts/u.sql")


HEADER = "/* @model\nmaterialized: table\n*/\n"
QUERY = "select 1 as id, 'paid' as status, 1 as amount union all select 2, null, null"


@ONE_IS_ENOUGH
def test_values_are_exact_and_floats_nearly(tested: Trial) -> None:
    given = {"raw.orders": [{"id": 1, "amount": 12345678901234.56}, {"id": 2, "amount": 0.1}]}
    text = yaml.safe_dump([of("table", [], given=given)])
    assert "12345678901234.56" in text
    assert tested.states(
        of("table", [{"amount": 12345678901234.56}, {"amount": 0.1}], given=given),
        of("table", [{"amount": 12345678901234.55}, {"amount": 0.1}], "a cent", given=given),
    ) == ["passed", "failed"]


def test_times_are_exact(tested: Trial) -> None:
    """Also those that Python does not have."""
    columns = ("cast('infinity' as date) as d", "interval '1 month' as i", "{} as t")
    sql = "select " + ", ".join(columns)
    nanoseconds = "timestamp_ns '2024-01-01 10:00:00.123456789'"
    ns = nanoseconds if tested.system.name == "duckdb" else "timestamp '-infinity'"
    tested.write({"models/marts/times.sql": sql.format(ns)})
    others = {
        "'infinity'": "'9999-12-31'",
        "1 month": "30 days",
        "456789": "456788",
        "-infinity": "infinity",
    }
    sql = sql.format(ns)
    wrong = {sql.replace(one, other) for one, other in others.items()} - {sql}
    found = tested.states(
        of("times", {"sql": sql}),
        *(of("times", {"sql": each}, each) for each in sorted(wrong)),
    )
    assert found == ["passed", *["failed"] * 3]


@ONE_IS_ENOUGH
def test_what_a_failure_shows(tested: Trial) -> None:
    given = {"raw.orders": [{"id": 1, "status": "paid"}, {"id": 2, "status": "x"}, {"id": 4}]}
    expected = [
        {"id": 1, "status": "open"},
        {"id": 2, "status": "x"},
        {"id": 3, "status": ""},
    ]
    (result,) = tested.results(of("both", expected, given=given))
    lines = [*terminal_lines(replace(result, seconds=0.1))]
    assert lines == [
        "FAIL marts.both: t (0.10 s)",
        "    unit_tests/tests.yaml:1:3",
        "    - 1 expected, and not there; + 1 there, and not expected; ~ 1 expected -> there",
        "      id  status",
        "    ~ 1   open -> paid",
        "    - 3   ''",
        "    + 4   NULL",
    ]


def test_an_error_of_the_model_has_its_place(tested: Trial) -> None:
    text = "select id,\n  cast(status as integer) as n\nfrom raw.orders"
    tested.write({"models/marts/bad.sql": f"{HEADER}{text}"})
    given = {"raw.orders": [{"id": 1, "status": "no number"}]}
    bad, good = tested.results(of("bad", [], given=given), of("bad", [], "good"))
    assert (bad.state, good.state) == ("error", "passed")
    assert bad.error.startswith("models/marts/bad.sql")
    if tested.system.name == "duckdb":
        assert bad.error.startswith("models/marts/bad.sql:5: ")


# Types -------------------------------------------------------------------------------------------


def test_types_that_the_project_does_not_know(tested: Trial) -> None:
    """From the table that is there; else it is an error that names the column."""
    tested.write({"models/marts/u.sql": "select a + 1 as b from raw.nobody_knows"})
    test = of("u", [{"b": 2.5}], given={"raw.nobody_knows": [{"a": 1.5}]})
    with pytest.raises(ProjectError, match=r"the type of raw.nobody_knows.a is not known") as error:
        tested.results(test)
    assert error.value.problems[0].line == 5
    with pytest.raises(ProjectError, match=r"the model reads a, and that type is not known"):
        tested.results(of("u", []))
    with tested.session() as session:
        session.execute("create schema raw")
        session.execute("create table raw.nobody_knows (a decimal(9,2), c integer)")
    assert [it.state for it in tested.results(test, of("u", [], "empty"), tables=True)] == [
        "passed",
        "passed",
    ]
    with pytest.raises(ProjectError, match=r"no column `x`"):
        tested.results(of("u", [], given={"raw.nobody_knows": [{"x": 1}]}), tables=True)


def test_a_name_in_any_case_and_what_a_test_cannot_control(tested: Trial) -> None:
    """What YAML names is folded as SQL without quotes is."""
    sources = (
        SOURCES
        + """
  - {name: one, schema: raw, tables: [{name: x, identifier: t, columns: {id: {type: int}}}]}
  - {name: two, schema: raw, tables: [{name: y, identifier: t, columns: {id: {type: int}}}]}
  - {name: three, tables: [{name: Mixed, columns: {Id: {type: int}}}]}
  - {name: four, catalog: c, schema: raw, tables: [{name: z, columns: {id: {type: int}}}]}
  - {name: five, schema: raw, tables: [{name: z, columns: {id: {type: int}}}]}
"""
    )
    models = {
        "mixed": "select ID from three.Mixed",
        "both_names": "select id from one.x union all select id from two.y",
        "catalogs": "select a.id as a, b.id as b from four.z as a, five.z as b",
        "hidden": "select * from some_macro('raw.orders')",
    }
    files = {f"models/marts/{name}.sql": text for name, text in models.items()}
    tested.write({"models/sources.yaml": sources, **files})
    given = {"mixed": [{"iD": 1}]}
    two = {"four.z": [{"id": 4}], "five.z": [{"id": 5}]}
    assert tested.states(
        of("mixed", [{"id": 1}], given=given), of("catalogs", [{"a": 4, "b": 5}], given=two)
    ) == ["passed", "passed"]
    with pytest.raises(ProjectError, match=r"one.x and two.y are one table"):
        tested.results(of("both_names", []))
    with pytest.raises(ProjectError, match=r"`some_macro\(...\)` may read raw.orders"):
        tested.results(of("hidden", []))


def test_the_types_of_a_seed_are_those_of_its_file(tested: Trial) -> None:
    files = {
        "seeds/s.csv": "code,n\n01,5\n",
        "models/marts/of_seed.sql": "select code, n + 1 as n from seeds.s",
    }
    tested.write(files)
    assert tested.states(
        of("of_seed", [{"code": "02", "n": 8}], given={"seeds.s": [{"code": "02", "n": 7}]}),
        of("of_seed", [], "empty"),
    ) == ["passed", "passed"]


def test_types_need_no_table_of_a_run(tested: Trial) -> None:
    """Types that are guessed of a seed reach all that is made of it: by views, ephemerals,
    increments and snapshots."""
    files = {
        "seeds/s.csv": "id,price,day,none\n1,1.50,2024-01-01,\n",
        "models/sources.yaml": SOURCES + "  - {name: seeds_too, schema: seeds, tables: [z]}\n",
        "seeds/z.csv": "id,day\n1,2024-01-01\n",
        "models/a/v.sql": "select * from seeds.s",
        "models/a/e.sql": "/* @model\nmaterialized: ephemeral\n*/\n"
        "select id, price, price * 2 as twice, day from a.v",
        "models/a/inc.sql": "/* @model\nmaterialized: incremental\nunique_key: id\n*/\n"
        "select id, sum(twice) as twice, max(day) as day from a.e group by id",
        "models/a/snap.sql": "/* @model\nmaterialized: snapshot\nunique_key: id\nstrategy: check\n"
        "*/\nselect * from a.inc",
        "models/a/py.py": "def model(warehouse):\n    return warehouse.sql('select 1 as x')\n",
        "models/a/of_py.sql": "select x from a.py",
        "models/marts/last.sql": "select id, twice, day, valid_to from a.snap",
        "models/marts/again.sql": "select id + 1 as id, day from seeds_too.z",
        "models/marts/of_of_py.sql": "select x from a.of_py",
    }
    tested.write(files)
    row = {"id": 7, "twice": 3.5, "day": "2024-01-05"}
    seed = {"seeds_too.z": [{"id": 6, "day": "2024-01-05"}]}
    assert tested.states(
        of("last", [row], given={"a.snap": [row]}),
        of("last", [], "empty"),
        of("again", [{"id": 7, "day": "2024-01-05"}], given=seed),
    ) == ["passed", "passed", "passed"]
    with pytest.raises(ProjectError, match=r"the type of a.of_py.x is not known"):
        tested.results(of("of_of_py", [], given={"a.of_py": [{"x": 1}]}))
    # What the code says goes before a table that older code has left.
    with tested.session() as session:
        session.execute("create schema a; create table a.snap (id integer, twice varchar)")
    assert [
        it.state for it in tested.results(of("last", [row], given={"a.snap": [row]}), tables=True)
    ] == ["passed"]


# Words of the target -----------------------------------------------------------------------------


def test_types_of_the_lineage_are_those_of_the_target(tested: Trial) -> None:
    """What the same SQL makes of an integer differs: 7 / 2 is 3 in PostgreSQL. The oracle is a view
    of the same query on a real table."""
    query = "select sum(id) as s, sum(id) / 2 as Half, avg(id) as a from raw.orders"
    merge = "/* @model\nmaterialized: incremental\nunique_key: s\n*/\n"
    models = {
        "agg": query,
        "two": "select s / 2 as h, Half as half, a from marts.agg",
        "again": f"{merge}select s, Half from marts.agg",
    }
    tested.write({f"models/marts/{name}.sql": text for name, text in models.items()})
    with tested.session() as session:
        session.prepare(["raw", "real"])
        session.execute("create table raw.orders (id integer); insert into raw.orders values (7)")
        session.execute(f"create view real.agg as {query}")
        row = session.query("select s / 2 as h, Half, a from real.agg")[0]
        session.execute("drop view real.agg; drop table raw.orders")
    h, half, a = (int(value) if value == int(value) else float(value) for value in row)
    assert (half == 3) is (tested.system.name == "postgres")
    given = {"agg": [{"s": 7, "half": half, "a": 7}]}
    this = {"agg": [{"s": 7, "half": 3}], "this": [{"s": 7, "half": 1}, {"s": 8, "half": 2}]}
    kept = [{"s": 7, "half": 3}, {"s": 8, "half": 2}]
    tests = [
        of("two", [{"h": h, "half": half, "a": a}], given=given),
        of("again", kept, given=this),
    ]
    assert tested.states(*tests) == ["passed", "passed"]
    with tested.session() as session:  # the table that is there goes before
        session.prepare(["marts"])
        session.execute("create table marts.agg as select 'x' as s, 1 as half, 2 as a")
    (found,) = tested.results(tests[0], tables=True)
    assert found.state == ("error" if tested.system.name == "postgres" else "passed")


def test_a_type_that_the_target_does_not_have(tested: Trial) -> None:
    tested.write({"models/marts/odd.sql": "select {'a': id} as pair, id from raw.orders"})
    tested.write({"models/marts/of_odd.sql": "select id from marts.odd"})
    fails = "select sum(id) as n, there_is_none(id) as k from raw.orders group by id"
    tested.write({"models/marts/fails.sql": fails})
    tested.write({"models/marts/of_fails.sql": "select n from marts.fails"})
    assert tested.states(of("of_fails", [{"n": 7}], given={"fails": [{"n": 7}]})) == ["passed"]
    test = of("of_odd", [], given={"odd": [{"pair": None, "id": 1}]})
    if tested.system.name == "duckdb":
        assert tested.states(test) == ["failed"]
        return
    with pytest.raises(ProjectError, match=r"the type of marts.odd.pair is not known") as error:
        tested.results(test)
    (found,) = error.value.problems
    assert (found.line, "Declare its type" in found.fix) == (5, True)


def test_a_source_has_the_names_that_quotes_keep(tested: Trial) -> None:
    """Those of the real table, or else those that the query names."""
    table = "{name: t, columns: {id: {type: int}, Name: {type: varchar}, other: {type: varchar}}}"
    models = {
        "quoted": 'select "Name" as name, "OTHER" as other from mixed.t',
        "bare": "select Name as name, Other as other from mixed.t",
    }
    files = {f"models/marts/{name}.sql": text for name, text in models.items()}
    tested.write(
        {"models/more/sources.yaml": f"sources: [{{name: mixed, tables: [{table}]}}]", **files}
    )
    row = {"name": "x", "other": "y"}
    given = {"mixed.t": [row]}
    tests = [of("quoted", [row], given=given), of("bare", [row], given=given)]
    assert tested.states(*tests) == ["passed", "passed"]
    query = {"mixed.t": {"sql": "select 'x' as \"Name\", 'y' as \"OTHER\""}}
    assert tested.states(of("quoted", [row], given=query)) == ["passed"]
    with tested.session() as session:
        session.prepare(["mixed"])
        session.execute('create table mixed.t (id integer, "Name" varchar, "OTHER" varchar)')
    keeps = tested.system.name == "postgres"
    states = [it.state for it in tested.results(*tests, tables=True)]
    assert states == ["passed", "error" if keeps else "passed"]


# Nothing stays -----------------------------------------------------------------------------------


def whole(session: Session, system: System) -> list[Any]:
    """All that the database holds, of whatever schema."""
    relations = session.query(system.relations.replace("'dagster_models', ", ""))
    schemas = session.query("select schema_name::text from information_schema.schemata order by 1")
    return [
        [it for it in schemas if not it[0].startswith("pg_")],
        *((it, session.query(f'select * from "{it[0]}"."{it[1]}"')) for it in sorted(relations)),
    ]


@pytest.fixture
def filled(tested: Trial) -> Trial:
    """The real tables, each with a row."""
    with tested.session() as session:
        session.prepare(["raw", "marts"])
        put(session, "raw.orders", ROWS[:1])
        for name in ("table", "append", "merge", "both", "days", "history"):
            session.execute(f'create table marts."{name}" as select 5 as id')
        session.execute('create view marts."view" as select * from raw.orders')
    return tested


def test_it_leaves_nothing_behind(filled: Trial) -> None:
    with filled.session() as session:
        before = whole(session, filled.system)
    given = {"raw.orders": ROWS}
    tests = [of(model, [{"id": 1}] if model != "days" else [], given=given) for model in MODELS]
    kinds = [test for test in tests if test["model"] != "marts.twice"]
    states = [result.state for result in filled.results(*kinds, tables=True)]
    assert "error" not in states
    assert "wrong" not in states
    with filled.session() as session:
        assert whole(session, filled.system) == before


CHILD = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path

from dagster_models.processes.client.rehearsal import rehearse
from dagster_models.processes.client.session import Session
from systems import System
from test_unit_tests import Trial, read
from dagster_models.execution.unit_tests import UnitTestRun
query = Session.query
def stuck(self, sql):
    print("built", flush=True)
    return query(self, {endless!r})
Session.query = stuck
tested = Trial(Path({root!r}), System({name!r}, {settings!r}, "", ""))
project = tested.project({tests!r})
list(UnitTestRun(project, tested.target).results(read(project)))
"""


def test_a_test_that_is_killed_leaves_nothing_behind(filled: Trial) -> None:
    """After all of it was built, and before the rollback."""
    with filled.session() as session:
        before = whole(session, filled.system)
    system = filled.system
    program = CHILD.format(
        paths=[str(REPOSITORY / "tests" / folder) for folder in ("execution", "support")],
        root=str(filled.root),
        name=system.name,
        settings=system.settings,
        tests=[of("merge", [], given={"raw.orders": ROWS, "this": [{"id": 1}]})],
        endless=system.endless,
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"built\n"
        child.send_signal(signal.SIGKILL)
    with filled.session() as session:
        assert whole(session, filled.system) == before


@ONE_IS_ENOUGH
def test_a_role_that_may_not_create_schemas(
    tested: Trial, admin: psycopg.Connection, postgres_dsn: str
) -> None:
    """It is reported once, and not as an error of a model."""
    admin.execute("drop role if exists reads_only; create role reads_only")
    dsn = f"{postgres_dsn}?options=-c%20role%3Dreads_only"
    target = Target("pg", POSTGRES, {"dsn": dsn, "idle_seconds": 0.5})
    project = tested.project([of("table", []), of("table", [], "more")])
    with pytest.raises(DagsterModelsError, match="create their schemas on the target pg: perm"):
        list(UnitTestRun(project, target).results(read(project)))


def test_nothing_is_rehearsed_outside_of_a_transaction(tested: Trial) -> None:
    with tested.session() as session, pytest.raises(WarehouseError, match="it would stay"):
        rehearse(session, sql_task("s.t", "select 1 as n"))
