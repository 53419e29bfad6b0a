"""Checks that are Python functions: they see what is not published yet, in every warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.checks import Threshold
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import CheckOutcome, Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import BuildTask, ChecksTask, task_from_json, task_to_json
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.channel import SessionIdentity
from dagster_models.processes.client.session import Session, connect, settle
from systems import System, duckdb_system, postgres_system
from tasks import sql_task
from worker_driver import Driver

_attempts = count(1)


class Project:
    """Builds s.t in a worker process, with checks in Python."""

    def __init__(self, system: System, driver: Driver, session: Session) -> None:
        self.system, self.driver, self.session = system, driver, session
        driver.out.take()
        session.execute("drop schema if exists s cascade")
        session.prepare(["s"])
        session.execute("create table s.t as select 0 as n; create table s.other as select 7 as n")

    def check(
        self, body: str, name: str = "c", queries: Mapping[str, str] | None = None, **more: Any
    ) -> CheckTask:
        """*body*: that of the function, or a whole file."""
        text = dedent(body).strip()
        if "def check" not in text:
            text = "def check(warehouse):\n    " + text.replace("\n", "\n    ")
        path = self.driver.write(f"checks/{name}.py", text + "\n")
        own = {"t": OWN_RELATION, "s.other": '"s"."other"'}
        root = str(self.driver.folder)
        code = PythonCode(LoadedFile(str(path), path.name), root, (), queries or {}, own)
        return CheckTask(name, "", code=code, **more)

    def task(self, sql: str, *checks: CheckTask, **more: Any) -> BuildTask:
        task = sql_task("s.t", sql, attempt=next(_attempts), checks=checks, **more)
        assert task_from_json(json.loads(json.dumps(task_to_json(task)))) == task
        return task

    def build(self, sql: str, *checks: CheckTask, **more: Any) -> Outcome:
        self.driver.start_task(self.task(sql, *checks, **more))
        return self.driver.answer()

    def alone(self, *checks: CheckTask, **more: Any) -> Outcome:
        attempt = next(_attempts)
        self.driver.start_task(ChecksTask("r", "s.t", attempt, Relation("s", "t"), checks, **more))
        return self.driver.answer()

    def rows(self, table: str = "t") -> list[Any]:
        return sorted(n for (n,) in self.session.query(f"select n from s.{table}"))


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Driver]]:
    """One for each warehouse, for all tests: its template is what takes the time."""
    found: dict[str, Driver] = {}
    yield found
    for driver in found.values():
        driver.close()


@contextmanager
def opened(system: System, folder: Path, drivers: dict[str, Driver]) -> Iterator[Project]:
    if system.name not in drivers:
        drivers[system.name] = Driver(folder, system.address)
    with connect(system.address) as session:
        yield Project(system, drivers[system.name], session)


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> System:
    return duckdb_system(str(tmp_path_factory.mktemp("duckdb") / "w.duckdb"))


@pytest.fixture(params=["duckdb", "postgres"])
def project(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    duckdb: System,
    drivers: dict[str, Driver],
) -> Iterator[Project]:
    system = duckdb
    if request.param == "postgres":
        system = postgres_system(request.getfixturevalue("postgres_of_module"))
    with opened(system, tmp_path_factory.mktemp("project"), drivers) as found:
        yield found


@pytest.fixture
def on_duckdb(
    tmp_path_factory: pytest.TempPathFactory, duckdb: System, drivers: dict[str, Driver]
) -> Iterator[Project]:
    with opened(duckdb, tmp_path_factory.mktemp("project"), drivers) as found:
        yield found


def only(outcome: Outcome) -> CheckOutcome:
    (found,) = outcome.checks
    return found


NEW = "select 1 as n union all select 2"
QUERY = {"select n from t where n > 1": f"select n from {OWN_RELATION} where n > 1"}
BIG = "return warehouse.sql('select n from t where n > 1')"


def test_a_function_sees_what_is_not_published_and_keeps_it_from_being_so(
    project: Project,
) -> None:
    check = project.check(BIG, queries=QUERY)
    refused = project.build(NEW, check)
    found = only(refused)
    assert (refused.verdict, found.failures, found.passed) == (Verdict.ROLLED_BACK, 1, False)
    assert (found.sample_columns, found.sample) == (("n",), (("2",),))
    assert "n > 1" in found.query
    assert project.rows() == [0]
    warned = project.build(NEW, replace(check, severity="warn"))
    assert (warned.verdict, only(warned).failures) == (Verdict.COMMITTED, 1)
    assert project.rows() == [1, 2]
    passed = project.build("select 1 as n", check)
    assert (passed.verdict, only(passed).passed) == (Verdict.COMMITTED, True)
    assert project.rows() == [1]


def test_it_reads_other_tables_and_the_rows_that_a_build_wrote(project: Project) -> None:
    both = project.check(
        """
        (n,) = warehouse.table('s.other').fetchone()
        print('seen', n)
        return sorted(warehouse.table('t').fetchall()) == [(1,), (2,)] and n == 7
        """
    )
    outcome = project.build(NEW, both)
    assert (outcome.error, project.rows()) == (None, [1, 2])
    assert project.driver.out.take("\n") == "c: seen 7\n"


def test_alone_it_looks_at_what_is_there(project: Project) -> None:
    check = project.check(BIG, queries=QUERY)
    assert project.alone(check).verdict is Verdict.DONE
    project.session.execute("insert into s.t values (5)")
    outcome = project.alone(check)
    assert (outcome.verdict, only(outcome).sample) == (Verdict.FAILED, (("5",),))


WRITES = {
    "execute": "warehouse.execute('delete from s.t')",
    "load": "warehouse.load([{'n': 9}], 's.other')",
    "an operation": "warehouse._connection.use(lambda it: it.execute('delete from s.t'))",
    "a commit": "warehouse._connection.use(lambda it: it.commit())",
    "the end": "warehouse._connection.use(lambda it: it.query('commit'))",
    "a query": "warehouse._connection.use(lambda it: it.query('delete from s.t returning n'))",
    "an export": "warehouse._connection.use(lambda it: it.export('delete from s.t returning n'))",
    "a CTE": "warehouse.sql('with d as (delete from s.t returning n) select * from d').arrow()",
    "a setting": "warehouse.sql('set transaction read write').arrow()",
    "sql of a commit": "warehouse.sql('commit').arrow()",
    "sql of the end": "warehouse.sql('abort').arrow()",
}


@pytest.mark.parametrize("alone", [False, True])
def test_it_cannot_write(project: Project, alone: bool) -> None:
    """Nothing of what a build of the model has written is lost, and nothing else changes."""
    checks = [
        project.check(f"{text}\nreturn True", f"c{at}", severity="warn")
        for at, text in enumerate(WRITES.values())
    ]
    if alone:
        outcome, rows = project.alone(*checks), [0]
    else:
        outcome, rows = project.build(NEW, *checks), [1, 2]
    assert outcome.succeeded, outcome.error
    errors = {name: it.error for name, it in zip(WRITES, outcome.checks, strict=True)}
    assert [name for name, error in errors.items() if error is None] == []
    for name, error in errors.items():
        assert error is not None
        # PostgreSQL and our reading of its statements refuse these before the transaction does.
        refused_before = name in ("the end", "an export", "a CTE")
        if not refused_before and project.system.name == "postgres":
            assert error.message.startswith("a check only reads"), (name, error)
        wrong = [it for it in ("execute()", "1 statements", "standby") if it in error.message]
        assert wrong == [], (name, error)
    assert (project.rows(), project.rows("other")) == (rows, [7])


def test_a_check_that_cannot_run_stops_the_build_or_warns(project: Project) -> None:
    raises = "x = 1\nraise LookupError('no such thing')"
    check = project.check(raises, "raises")
    outcome = project.build(NEW, check)
    error = only(outcome).error
    assert error is not None
    assert (outcome.verdict, error.kind) == (Verdict.ROLLED_BACK, ErrorKind.USER_CODE)
    assert (error.name, error.message, error.line) == ("LookupError", "no such thing", 3)
    assert "raises.py" in error.traceback
    assert "dagster_models" not in error.traceback.replace(str(project.driver.folder), "")
    broken = project.check("warehouse.sql('select nope from t').df()", "broken", severity="warn")
    sound = project.check("return warehouse.table('t').fetchall() != []", "sound")
    outcome = project.build(NEW, broken, replace(check, severity="warn"), sound)
    assert (outcome.verdict, project.rows()) == (Verdict.COMMITTED, [1, 2])
    errors = [it.error.name if it.error else "" for it in outcome.checks]
    assert errors[1:] == ["LookupError", ""]
    assert outcome.checks[0].error is not None
    assert outcome.checks[0].error.line == 2


def test_an_error_that_the_function_catches(project: Project) -> None:
    """DuckDB cannot go on with a transaction in which a statement has failed."""
    caught = """
        try:
            warehouse.sql("select cast('x' as integer) as n").arrow()
        except Exception:
            pass
        return warehouse.table('t').fetchall() == [(1,)]
        """
    outcome = project.build("select 1 as n", project.check(caught))
    goes_on = "savepoints" not in project.system.capabilities.lacks
    assert (outcome.succeeded, only(outcome).passed) == (goes_on, goes_on)
    assert project.rows() == ([1] if goes_on else [0])
    last = caught.replace("warehouse.table('t').fetchall() == [(1,)]", "True")
    outcome = project.build("select 2 as n", project.check(last, severity="warn"))
    assert (outcome.succeeded, only(outcome).passed) == (True, goes_on)
    assert project.rows() == [2]


def test_a_kill_in_a_check_leaves_what_was_there(project: Project) -> None:
    task = project.task(
        NEW,
        project.check("warehouse.table('t').arrow()\nimport os; os.kill(os.getpid(), 9)"),
    )
    project.driver.start_task(task)
    message = project.driver.next_session()
    assert project.driver.ends() == -9
    lost = SessionIdentity(message["session_id"], message["server_pid"])
    assert settle(project.system.address, task, lost) is False
    assert project.rows() == [0]
    assert project.build(NEW).succeeded  # nobody holds its turn


def test_a_kill_of_the_warehouse_process_leaves_what_was_there(project: Project) -> None:
    pid = project.session.server_pid
    kill = f"import os; os.kill({pid}, 9)\nwarehouse.table('t').arrow()"
    task = project.task(NEW, project.check(kill, severity="warn"))
    project.driver.start_task(task)
    message = project.driver.next_session()
    assert project.driver.answer().verdict is Verdict.UNKNOWN
    lost = SessionIdentity(message["session_id"], message["server_pid"])
    assert settle(project.system.address, task, lost) is False
    with connect(project.system.address) as session:
        assert session.query("select n from s.t") == [(0,)]


@pytest.mark.parametrize("where", ["in a query", "in Python"])
def test_a_cancel_in_a_check_rolls_back(project: Project, where: str) -> None:
    endless = project.system.endless
    last = f"warehouse.sql({endless!r}).arrow()" if where == "in a query" else SLEEPS
    check = project.check(f"print('here', flush=True)\n{last}\nreturn True", severity="warn")
    project.driver.start_task(project.task(NEW, check))
    project.driver.out.take("here\n")
    project.driver.cancel()
    outcome = project.driver.answer()
    assert (outcome.verdict, project.rows()) == (Verdict.CANCELED, [0])
    assert project.build(NEW).succeeded


SLEEPS = "import time; time.sleep(60)"


def test_rows_are_stored_across_the_rollback(project: Project) -> None:
    check = project.check(BIG, queries=QUERY, store=Relation("s", "failures_c"))
    outcome = project.build(NEW, check, builder="p")
    assert (only(outcome).stored, outcome.notes) == ("s.failures_c", ())
    assert (project.rows("failures_c"), project.rows()) == ([2], [0])
    number = project.check("return 0", store=Relation("s", "failures_c"))
    assert only(project.build(NEW, number, builder="p")).stored == "s.failures_c"
    assert project.rows("failures_c") == []
    number = project.check("return 3", store=Relation("s", "failures_c"))
    outcome = project.build(NEW, number, builder="p")
    assert outcome.notes == ("WARNING: the rows of c are not stored: it returned no rows",)


def test_a_result_that_an_earlier_check_has_not_read_is_over(on_duckdb: Project) -> None:
    """No thread is blamed, and the process is not taken for one that has lost its session."""
    keep = """
    import threading
    def check(warehouse):
        threading.kept = warehouse.sql("select 1 as n")
        return True
    """
    read = """
    import threading
    def check(warehouse):
        return not threading.kept.fetchall()
    """
    checks = (on_duckdb.check(keep, "keep"), on_duckdb.check(read, "read"))
    kept, found = on_duckdb.build(NEW, *checks).checks
    assert (kept.error, found.passed) == (None, False)
    assert found.error is not None
    assert found.error.name == "SessionClosed"
    assert "a result of it that was not read before" in found.error.message
    assert "thread" not in found.error.message


def test_the_rows_that_a_build_wrote_and_each_of_several_transactions(project: Project) -> None:
    body = "print(sorted(warehouse.table('t').fetchall()))\nreturn max(warehouse.table('t'))[0] < 3"
    project.session.execute("create table s.u as select 0 as n")
    window, table = (project.check(body, name, scope=name) for name in ("window", "table"))
    how = Incremental("append")
    append = replace(project.task("select 1 as n", window, table), materialization=how)
    append = replace(append, relation=Relation("s", "u"))
    project.driver.start_task(append)
    assert project.driver.answer().verdict is Verdict.COMMITTED
    printed = project.driver.out.take("table: [(0,), (1,)]\n")
    assert printed == "window: [(1,)]\ntable: [(0,), (1,)]\n"
    wanted = tuple(Partition(str(n), ValueWindow((str(n),))) for n in (1, 2, 3, 4))
    by_one = Incremental("replace", partitioned=Partitioned("n", wanted, batch=1))
    numbers = " union all ".join(f"select {n} as n" for n in range(1, 5))
    task = replace(project.task(numbers, window), relation=Relation("s", "v"))
    project.driver.start_task(replace(task, materialization=by_one))
    outcome = project.driver.answer()
    assert (outcome.verdict, outcome.partitions) == (Verdict.ROLLED_BACK, ("1", "2"))
    assert project.rows("v") == [1, 2]


HEAD = "from dagster_models import Finding\nimport numpy, pandas, polars, pyarrow\n"
PASSED, FAILED = (0, (), ()), (1, (), ())
RETURNS: Mapping[str, Any] = {
    "True": PASSED,
    "False": FAILED,
    "numpy.bool_(False)": FAILED,
    "0": PASSED,
    "3": (3, (), ()),
    "numpy.int64(3)": (3, (), ()),
    "warehouse.sql('select sum(i) as n from range(3) t(i)').fetchone()[0]": (3, (), ()),
    "numpy.float64(3.0)": (3, (), ()),
    "[]": PASSED,
    "iter([])": PASSED,
    "[{'a': 1, 'b': None}]": (1, ("a", "b"), (("1", None),)),
    "warehouse.sql('select 1 as a where 1 = 0')": PASSED,
    "warehouse.sql('select 1 as a, true as b')": (1, ("a", "b"), (("1", "true"),)),
    "warehouse.sql('select 1 as a').fetchall()": (1, ("column1",), (("1",),)),
    "({'a': n} for n in range(7))": (7, ("a",), tuple((str(n),) for n in range(5))),
    "pandas.DataFrame({'a': ['x']})": (1, ("a",), (("x",),)),
    "polars.LazyFrame({'a': [1.5]})": (1, ("a",), (("1.5",),)),
    "iter([pyarrow.table({'a': [1]}), pyarrow.table({'a': [2]})])": (
        *(2, ("a",)),
        (("1",), ("2",)),
    ),
    "Finding(2)": (2, (), ()),
    "Finding(2, rows=[{'a': 1}])": (2, ("a",), (("1",),)),
    "Finding(rows=[{'a': 1}])": (1, ("a",), (("1",),)),
    "()": (0, (), ()),
    "Finding(rows=())": (0, (), ()),
    "((1, 2), (3, 4))": (2, ("column1", "column2"), (("1", "2"), ("3", "4"))),
    "None": "TypeError: the check returned nothing; return rows that offend",
    "-1": "ValueError: `failures` is -1; it must be a number of rows",
    "1.5": "TypeError: the check returned 1.5; return rows that offend",
    "'x'": "TypeError: the check returned 'x'; return rows that offend",
    "Finding()": "TypeError: the Finding has neither `failures` nor `rows`",
    "Finding(1, 2)": "TypeError: `description` is 2; it must be a text",
    "{'a': 1}": "TypeError: what the check returned is of type dict, not a table",
    "__import__('sys').exit(0)": "SystemExit: the check called sys.exit(0) instead of returning",
}


def test_what_a_function_may_return(on_duckdb: Project) -> None:
    checks = [
        on_duckdb.check(f"{HEAD}def check(warehouse):\n    return {text}", f"c{at}")
        for at, text in enumerate(RETURNS)
    ]
    outcome = on_duckdb.alone(*checks)
    for text, found in zip(RETURNS, outcome.checks, strict=True):
        wanted = RETURNS[text]
        if isinstance(wanted, str):
            assert found.error is not None, text
            assert f"{found.error.name}: {found.error.message}".startswith(wanted), text
        else:
            assert found.error is None, (text, found.error)
            assert (found.failures, found.sample_columns, found.sample) == wanted, text


def test_thresholds_are_of_the_rows_of_the_relation_or_those_that_were_looked_at(
    on_duckdb: Project,
) -> None:
    half = {"error_if": Threshold("50", percent=True)}
    checks = (
        on_duckdb.check("return 2", "all", **half),
        on_duckdb.check("return 1", "one", **half),
        on_duckdb.check(
            f"{HEAD}\ndef check(warehouse):\n    return Finding(3, 'odd', checked=6)", "own", **half
        ),
    )
    outcome = on_duckdb.build(NEW, *checks)
    found = {it.name: (it.passed, it.accepted, it.rows, it.found) for it in outcome.checks}
    assert found == {
        "all": (False, False, 2, ""),
        "one": (True, True, 2, ""),
        "own": (True, True, 6, "odd"),
    }
