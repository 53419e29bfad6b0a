"""What a run with ``only_changed`` leaves alone, and that its tables are those of a run without."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import duckdb
import pytest

from dagster_models.warehouses.duckdb.repeatable import unrepeatable
from running import EXHAUSTIVE
from session_runs import Runs, those
from systems import System

HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "24" if EXHAUSTIVE else "3"))

SOURCES = "sources: [{name: raw, tables: [one, two]}]"


@pytest.fixture
def runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A project with a source `raw.one`, and three models in a row."""
    runs = Runs(tmp_path / "project")
    files = {
        "models/sources.yaml": SOURCES,
        "models/m/a.sql": "/* @model\nmaterialized: view\n*/\nselect k, v from raw.one",
        "models/m/b.sql": "select k, v + 1 as v from a",
        "models/m/c.sql": "select k, v * 2 as v from b",
    }
    settings = "models: {materialized: table}\ntarget: left\n"
    runs.write_on(system, monkeypatch, files, settings, {"left": "l_", "right": "r_"})
    with runs.connect() as session:
        session.execute("create schema raw")
        for name in ("one", "two"):
            session.execute(f"create table raw.{name} as select 1 as k, 10 as v")
    return runs


def sql(runs: Runs, *statements: str) -> None:
    with runs.connect() as session:
        for statement in statements:
            session.execute(statement)


def built(runs: Runs, *names: str) -> set[str]:
    """The steps that a run with ``only_changed`` builds; all others are unchanged."""
    states = runs.run(*names, only_changed=True)
    assert set(states.values()) <= {"built", "unchanged"}
    return set(those(states, "built"))


def test_nothing_has_changed(runs: Runs) -> None:
    assert built(runs) == {"a", "b", "c"}
    assert set(runs.because.values()) == {
        "its relation is not there, or was not built by this project",
        "m.a is built in this run, or runs",
        "m.b is built in this run, or runs",
    }
    before = runs.contents()
    assert built(runs) == set()
    assert runs.contents() == before


def test_what_has_changed_and_all_below_it(runs: Runs) -> None:
    built(runs)
    runs.write({"models/m/b.sql": "-- a comment\nselect k, v + 1 as v from a"})
    assert built(runs) == set(), "a comment changes nothing"
    runs.write({"models/m/b.sql": "select k, v + 2 as v from a"})
    assert built(runs) == {"b", "c"}
    assert runs.because["m.b"] == "its code has changed"
    runs.write({"models/m/d.sql": "select k from a"})
    assert built(runs) == {"d"}, "below a step that is unchanged"


@pytest.mark.parametrize(
    "change",
    [
        "update raw.one set v = 11",
        "insert into raw.one (k, v) values (2, 20)",
        "delete from raw.one",
        "alter table raw.one add column x integer",
        "update raw.one set w = 5; update raw.one set w = cast('-0' as double precision)",
    ],
)
def test_rows_of_a_source(runs: Runs, change: str) -> None:
    sql(runs, "alter table raw.one add column w double precision default 0.0")
    built(runs)
    sql(runs, *change.split("; "))
    assert built(runs) == {"a", "b", "c"}
    assert runs.because["m.a"] == "raw.one has other rows"
    sql(runs, "insert into raw.two values (3, 3)")
    assert built(runs) == set(), "nobody reads this one"


def test_a_source_that_has_its_old_rows_again(runs: Runs) -> None:
    """What a table was built from counts, and not what its view was when it was made."""
    built(runs)
    sql(runs, "update raw.one set v = 11")
    assert runs.run("m.b") == {"m.b": "built"}
    sql(runs, "update raw.one set v = 10")
    assert built(runs) == {"b", "c"}
    assert runs.because["m.b"] == "nobody has recorded which rows of raw.one it was built from"


def test_a_run_without_it_does_not_read_the_sources(runs: Runs) -> None:
    runs.run()
    assert built(runs) == {"a", "b", "c"}
    assert built(runs) == set()


def test_a_part_of_the_models(runs: Runs) -> None:
    built(runs)
    runs.run("m.b")
    assert built(runs, "m.c") == {"c"}
    assert runs.because["m.c"] == "m.b was built since"
    assert built(runs, "m.c") == set()
    runs.write(
        {"models/m/a.sql": "/* @model\nmaterialized: view\n*/\nselect k, 7 as v from raw.one"}
    )
    assert built(runs, "m.b") == {"b"}
    assert runs.because["m.b"] == "m.a has other code than its view"


def test_a_failed_run(runs: Runs) -> None:
    built(runs)
    good, bad = "select k, v + 3 as v from a", "select k, cast('x' as integer) as v from a"
    runs.write({"models/m/b.sql": bad, "models/m/c.sql": "select k, v * 3 as v from b"})
    assert runs.run(only_changed=True) == {"m.a": "unchanged", "m.b": "failed", "m.c": "skipped"}
    runs.write({"models/m/b.sql": good})
    assert built(runs) == {"b", "c"}


@pytest.mark.parametrize(
    ("write", "why"),
    [
        ("drop table l_m.b", "its relation is not there, or was not built by this project"),
        ("insert into l_m.b values (5, 5)", "it has 2 rows, and 1 were published"),
        (
            "drop table l_m.b; create table l_m.b as select 1 as k, 11 as v",
            "somebody else has replaced it since",
        ),
    ],
)
def test_what_somebody_else_has_done(runs: Runs, write: str, why: str) -> None:
    built(runs)
    sql(runs, *write.split("; "))
    runs.run("m.c", only_changed=True)
    assert why.removeprefix("its relation ") in runs.because["m.c"], "what it reads is not as built"
    assert built(runs) == {"b", "c"}
    assert runs.because["m.b"].startswith(why)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("select k, random() as v from a", "it calls random: it may return another value"),
        ("select k, now() as v from a", "it calls now: it may return another value"),
        ("select k, current_date as v from a", "it says current_date"),
        ("select k, current_timestamp as v from a", "it says current_timestamp"),
        ("select k, 'today' as v from a", "it says 'today'"),
        ("select a.k, 1 as v from a, raw.unknown", "it reads raw.unknown, which the project does"),
    ],
)
def test_what_another_build_would_change(runs: Runs, query: str, why: str) -> None:
    sql(runs, "create table raw.unknown as select 1 as n")
    runs.write({"models/m/b.sql": query, "models/m/c.sql": "select k from b"})
    assert built(runs) == {"a", "b", "c"}
    assert built(runs) == {"b", "c"}
    assert runs.because["m.b"].startswith(why)
    header = "/* @model\ndeterministic: true\n*/\n"
    runs.write({"models/m/b.sql": header + query})
    assert built(runs) == set(), "its author says that it need not be built"


def test_the_functions_that_a_warehouse_says_are_repeatable(runs: Runs) -> None:
    query = (
        "with x(k, v) as (select k, coalesce(v, 0) from a), y as (select k, sum(v) filter (where v"
        " in (10, 11)) as v from x group by k) select k, abs(cast(v as numeric(10, 2))) + length("
        "lower('X')) + row_number() over (order by k) as v from y where exists (select 1 from a)"
    )
    runs.write({"models/m/b.sql": query})
    assert built(runs) == {"a", "b", "c"}
    assert built(runs) == set()


def test_a_function_whose_text_may_change(runs: Runs, system: System) -> None:
    make = {
        "duckdb": "create macro raw.twice(n) as n * 2",
        "postgres": "create function raw.twice(n integer) returns integer language sql immutable"
        " as 'select n * 2'",
    }
    sql(runs, make[system.name])
    runs.write({"models/m/b.sql": "select k, raw.twice(v) as v from a"})
    built(runs)
    assert built(runs) == {"b", "c"}
    assert "text may change" in runs.because["m.b"]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("unique_key: k", ""),
        ("strategy: append\nsince: k", "each build with `strategy: append` may change the table"),
        ("strategy: delete+insert\nunique_key: k", "each build with `strategy: delete+insert` may"),
        ("unique_key: k\nfull_refresh: true", "it is built in full each time, or was asked to be"),
        ("unique_key: k\nfull_refresh: false", ""),
    ],
)
def test_incremental_models(runs: Runs, header: str, why: str) -> None:
    where = " where k > /*$since*/ 0" if "since" in header else ""
    text = f"/* @model\nmaterialized: incremental\n{header}\n*/\nselect k, v from a{where}"
    runs.write({"models/m/b.sql": text})
    built(runs)
    assert built(runs) == ({"b", "c"} if why else set())
    assert runs.because.get("m.b", "").startswith(why)


def test_a_snapshot(runs: Runs) -> None:
    header = "materialized: snapshot\nunique_key: k\nstrategy: check\nhard_deletes: invalidate"
    runs.write({"models/m/b.sql": f"/* @model\n{header}\n*/\nselect k, v from a"})
    built(runs)
    before = runs.contents()
    assert built(runs) == set()
    assert runs.run("m.b") == {"m.b": "built"}
    assert runs.contents() == before, "a build of the same rows leaves the same"


@pytest.mark.parametrize(("name", "why"), [("random", True), ("abs", False), ("nobody", False)])
def test_names_of_functions(runs: Runs, name: str, why: bool) -> None:
    with runs.connect() as session:
        assert bool(session.unrepeatable({name})) == why


def test_duckdb_calls_functions_consistent_that_ask_for_the_time() -> None:
    """What its catalog says cannot be relied on for all: a name that sounds so must be listed."""
    sounds = re.compile(r"(^|_)(now|current|today|random|session|setting|variable|version|age|ago)")
    with duckdb.connect() as database:
        rows = database.sql("select distinct function_name from duckdb_functions()").fetchall()
        names = {name for (name,) in rows if sounds.search(name) and "_extract_" not in name}
        refused = unrepeatable(lambda sql: database.sql(sql).fetchall(), names)
    assert set(refused) == names


def test_checks_of_what_is_left_alone(runs: Runs) -> None:
    header = "/* @model\ncolumns: {v: {checks: [{accepted_values: {values: [22]}}]}}\n*/\n"
    text = "select k, v * 2 as v from b"
    built(runs)
    runs.write({"models/m/c.sql": header + text})
    assert built(runs) == set(), "a new check of what is there passes"
    runs.write({"models/m/c.sql": header.replace("22", "23") + text})
    assert runs.run(only_changed=True) == {"m.a": "unchanged", "m.b": "unchanged", "m.c": "failed"}
    assert runs.because["m.c"] == "its check accepted_values_v fails"


# --- histories ---------------------------------------------------------------------------------


class History:
    """Random edits, loads, failures and drops, which both targets see; a run of each follows. The
    left target's run has ``only_changed``."""

    def __init__(self, runs: Runs, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = Runs(runs.root, "left")
        self.right = Runs(runs.root, "right")
        self.names = [f"t{number}" for number in range(self.random.randint(3, 6))]
        self.models: dict[str, tuple[str, str]] = {}  # name -> header and query
        self.left_alone = 0
        self.story: list[str] = []

    def choose(self, *options: str) -> str:
        return self.random.choice(options)

    def edit(self, name: str) -> None:
        """Another header or query for a model; it may fail when it runs."""
        before = self.names[: self.names.index(name)]
        reads = [f"m.{other}" for other in before] + ["raw.one", "raw.two"]
        one, two = self.random.choice(reads), self.random.choice(reads)
        number = self.random.randint(0, 3)
        query = self.choose(
            f"select k, max(v) + {number} as v from {one} group by k",
            f"select k, sum(v) as v from (select * from {one} union all select * from {two}) as u"
            " group by k",
            f"select x.k, min(x.v + y.v) as v from {one} as x join {two} as y on x.k = y.k"
            " group by x.k",
            f"select k, max(v + case when now() is null then 1 else {number} end) as v from {one}"
            " group by k",
            f"select k, max(v) + cast('{self.choose('1', '1', 'x')}' as integer) as v from {one}"
            " group by k",
        )
        header = self.choose(
            "",
            "",
            "materialized: view",
            "materialized: view",
            "materialized: incremental\nunique_key: k",
            "columns: {k: {checks: [unique, not_null]}}",
        )
        # A column of a fixed type: an increment keeps the type of its table.
        query = f"select k, cast(v as integer) as v from ({query}) as q"
        self.models[name] = (header, query)
        text = f"/* @model\n{header}\n*/\n{query}" if header else query
        self.left.write({f"models/m/{name}.sql": text})

    def load(self) -> str:
        table, k, v = (
            self.choose("one", "two"),
            self.random.randint(1, 4),
            self.random.randint(1, 3),
        )
        return self.choose(
            f"insert into raw.{table} values ({k}, {v})",
            f"update raw.{table} set v = {v} where k = {k}",
            f"delete from raw.{table} where k = {k}",
        )

    def meddle(self) -> None:
        """Drop a relation, or add a row to a table, on both targets."""
        name, row = self.random.choice(self.names), self.random.randint(1, 9)
        add = self.random.random() < 0.5
        with self.left.connect() as session:
            for prefix in "lr":
                relation = f"{prefix}_m.{name}"
                kinds = session.query(
                    "select table_type from information_schema.tables where table_name ="
                    f" '{name}' and table_schema = '{prefix}_m'"
                )
                if kinds and kinds[0][0] == "VIEW":
                    session.execute(f"drop view {relation} cascade")
                elif kinds and add:
                    session.execute(f"insert into {relation} values ({90 + row}, 1)")
                elif kinds:
                    session.execute(f"drop table {relation} cascade")

    def act(self) -> None:
        what = self.choose("edit", "edit", "load", "load", "load", "meddle", "nothing")
        self.story.append(what)
        if what == "edit":
            self.edit(self.random.choice(self.names))
        elif what == "load":
            sql(self.left, self.load())
        elif what == "meddle":
            self.meddle()

    def run(self) -> None:
        some = [f"m.{name}" for name in self.names if self.random.random() < 0.6]
        names = some if some and self.random.random() < 0.4 else []
        only_changed = self.random.random() < 0.8
        states = self.left.run(*names, only_changed=only_changed)
        whole = self.right.run(*names)
        self.story.append(f"{names} {states} {self.left.because}")
        self.left_alone += len(those(states, "unchanged"))
        assert {name: "built" if it == "unchanged" else it for name, it in states.items()} == whole
        assert self.left.contents() == self.right.contents()


def same_tables(history: History) -> None:
    for name in history.names:
        history.edit(name)
    for _ in range(8):
        history.run()
        history.act()


_left_alone: list[int] = []  #: how many steps each history has left alone


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_tables_are_those_of_a_run_without_it(runs: Runs, seed: int) -> None:
    for name in "abc":
        (runs.root / f"models/m/{name}.sql").unlink()
    history = History(runs, seed)
    try:
        same_tables(history)
    except AssertionError:
        print(history.models, *history.story, sep="\n")
        raise
    _left_alone.append(history.left_alone)


def test_the_histories_had_something_to_leave_alone() -> None:
    assert not _left_alone or sum(_left_alone) > len(_left_alone) / 2, _left_alone
