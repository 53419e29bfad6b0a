"""The worker process: real processes, a real DuckDB file, and the ways in which user code dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from addresses import duckdb_at
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Verdict
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.errors import ErrorKind
from dagster_models.processes import wire
from dagster_models.processes.client.session import Session, connect
from worker_driver import SLOW_CHECK, Driver

pytestmark = pytest.mark.slow

NEVER_ENDS = "select count(*) from range(100000000) a, range(100000) b"


@pytest.fixture
def address(tmp_path: Path) -> WarehouseAddress:
    path = tmp_path / "warehouse.duckdb"
    return duckdb_at(path, idle_seconds=1)


@pytest.fixture
def session(address: WarehouseAddress) -> Iterator[Session]:
    with connect(address) as session:
        session.prepare(["main"])
        yield session


@pytest.fixture
def worker(tmp_path: Path, address: WarehouseAddress, session: Session) -> Iterator[Driver]:
    folder = tmp_path / "project"
    folder.mkdir()
    driver = Driver(folder, address)
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Driver, Session]]:
    """A worker, and a session of its warehouse, for steps that leave both as they were."""
    folder = tmp_path_factory.mktemp("common")
    address = duckdb_at(folder / "warehouse.duckdb", idle_seconds=1)
    with connect(address) as session:
        session.prepare(["main"])
        driver = Driver(folder, address)
        yield driver, session
        driver.close()


# Models and scripts ------------------------------------------------------------------------------


def test_a_models_table_is_published(worker: Driver, session: Session) -> None:
    session.execute("create table upstream as select 20 as n")
    outcome = worker.run(
        "python",
        """
        def model(warehouse):
            (row,) = warehouse.sql("select n from up").fetchall()
            frame = warehouse.table("up").df()
            frame["n"] += row[0] + 2
            return frame
        """,
        queries={"select n from up": "select n from upstream"},
        relations={"up": '"main"."upstream"'},
    )
    assert (outcome.verdict, outcome.rows, outcome.error) == (Verdict.COMMITTED, 1, None)
    assert outcome.columns == (("n", "INTEGER"),)
    assert outcome.started_at > 1.7e9
    assert 0 < outcome.seconds < 30
    assert session.query("select n from built") == [(42,)]
    assert session.query("select step, rows from dagster_models.commits") == [("main.built", 1)]


@pytest.mark.parametrize(
    "table",
    [
        "warehouse.sql('select 1 as n')",
        "__import__('polars').LazyFrame({'n': [1]})",
        "[{'n': 1}]",
        "__import__('duckdb').sql('select 1 as n')",
        "__import__('pyarrow').table({'n': [1]}).to_reader()",
    ],
)
def test_every_kind_of_table_is_published(common: tuple[Driver, Session], table: str) -> None:
    worker, session = common
    session.execute("drop table if exists built")
    outcome = worker.run("python", f"def model(warehouse):\n    return {table}\n")
    assert outcome.error is None
    assert session.query("select n from built") == [(1,)]


def test_a_failing_check_rolls_the_model_back(worker: Driver, session: Session) -> None:
    check = CheckTask("none", 'select * from "main"."built" where n > 0')
    outcome = worker.run("python", "def model(w): return [{'n': 1}]", checks=(check,))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert [(c.name, c.failures) for c in outcome.checks] == [("none", 1)]
    assert session.query("select * from duckdb_tables() where table_name = 'built'") == []


def test_a_script_is_run_as_main_and_finds_the_warehouse(worker: Driver, session: Session) -> None:
    worker.write("helper.py", "VALUE = 3\n")
    outcome = worker.run(
        "script",
        """
        import sys
        import helper
        from dagster_models import warehouse
        warehouse.load([{"n": helper.VALUE}], "main.made")
        warehouse.execute("insert into made values (4)")
        if __name__ == "__main__":
            print(len(warehouse.table("made")), sys.argv == [__file__], flush=False)
        """,
    )
    assert (outcome.verdict, outcome.error) == (Verdict.DONE, None)
    assert worker.out.take("\n") == "2 True\n"
    assert session.query("select n from made order by n") == [(3,), (4,)]


@pytest.mark.parametrize("code", ["", "0", "None"])
def test_a_script_that_exits_with_zero_succeeds(common: tuple[Driver, Session], code: str) -> None:
    worker, _ = common
    assert worker.run("script", f"import sys\nsys.exit({code})").verdict is Verdict.DONE


@pytest.mark.parametrize(
    ("code", "message"), [("3", "exit code 3"), ("'no data'", "exit code 1: no data")]
)
def test_another_exit_code_is_a_failure(
    common: tuple[Driver, Session], code: str, message: str
) -> None:
    worker, _ = common
    outcome = worker.run("script", f"import sys\n\nsys.exit({code})")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.error is not None
    assert (outcome.error.title, outcome.error.message, outcome.error.line) == (
        "SystemExit",
        message,
        3,
    )


def test_a_transaction_left_open_is_rolled_back_and_told(worker: Driver, session: Session) -> None:
    session.execute("create table kept as select 1 as n")
    outcome = worker.run(
        "python",
        """
        def model(warehouse):
            warehouse.execute("begin")
            warehouse.execute("delete from kept")
            return [{"n": 1}]
        """,
    )
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.OPEN_TRANSACTION
    assert session.query("select n from kept") == [(1,)]
    script = "from dagster_models import warehouse\nwarehouse.execute('begin; delete from kept')"
    assert worker.run("script", script).verdict is Verdict.FAILED
    assert worker.run("script", f"{script}\nwarehouse.execute('commit')").error is None
    assert session.query("select n from kept") == []


# Errors in the user's terms ----------------------------------------------------------------------


def test_an_error_is_told_by_its_place_in_the_users_file(worker: Driver) -> None:
    outcome = worker.run(
        "python",
        """\
        def deepest(n):
            return 1 / n

        def model(warehouse):
            return deepest(0)
        """,
    )
    error = outcome.error
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert error is not None
    assert (error.name, error.message, error.line) == ("ZeroDivisionError", "division by zero", 2)
    lines = error.traceback.splitlines()
    assert lines[1] == f'  File "{worker.folder / "built.py"}", line 5, in model'
    assert "    return 1 / n" in lines
    assert "usercode.py" not in error.traceback


def test_the_warehouses_error_names_the_line_of_the_call(worker: Driver) -> None:
    outcome = worker.run(
        "python",
        "def model(warehouse):\n    return warehouse.sql('select * from nowhere').df()\n",
    )
    error = outcome.error
    assert error is not None
    assert (error.title, error.line) == ("CatalogException", 2)
    assert "nowhere" in error.message
    assert "session.py" not in error.traceback
    assert "warehouse.py" not in error.traceback


@pytest.mark.parametrize(
    ("source", "kind", "line", "message"),
    [
        ("def model(warehouse):\n    pass\n", "TypeError", 1, "returned nothing; return a pandas"),
        ("\ndef model(w): return 1\n", "TypeError", 2, "of type int, not a table"),
        ("def model(w): return lambda: 1\n", "TypeError", 1, "of type function, not a table"),
        ("def model(w): return [{'n': 1}, {'n': 'x'}]", "ValueError", 1, "column 'n' of"),
        ("def other(): pass\n", "NoModel", None, "defines no function model"),
        ("def model(): pass\n", "NoModel", 1, "must take one argument"),
        ("async def model(w): pass\n", "NoModel", 1, "async def"),
        ("x = 1\ndef model(w)\n", "SyntaxError", 2, "expected ':'"),
        ("import sys\ndef model(w):\n  sys.exit(0)\n", "SystemExit", 3, "instead of returning"),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E\n", "E", 3, "<no message"),
        ("raise MemoryError\n", "MemoryError", 1, "MemoryError"),
        ("def f(): f()\nf()\n", "RecursionError", 1, "maximum recursion"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError", 1, "nowhere_to_be_found"),
    ],
)
def test_what_goes_wrong_is_told(
    common: tuple[Driver, Session], source: str, kind: str, line: int | None, message: str
) -> None:
    worker, _ = common
    outcome = worker.run("python", source)
    error = outcome.error
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert error is not None
    assert (error.title, error.line) == (kind, line)
    assert message in error.message
    assert worker.run("script", "").verdict is Verdict.DONE  # and the worker goes on


def test_a_lone_surrogate_crosses_in_an_error_and_in_a_path(worker: Driver) -> None:
    """Half of a pair, as a text that was cut has it, and a file name that is not UTF-8."""
    path = worker.folder / os.fsdecode(b"caf\xe9.py")
    path.write_text("def model(warehouse):\n    raise ValueError(__file__[-7:] + chr(0xD8E9))")
    worker.start_file("python", path)
    error = worker.answer().error
    assert error is not None
    assert (error.message, error.line) == ("caf\udce9.py\ud8e9", 2)


# Output ------------------------------------------------------------------------------------------


def test_steps_one_after_another_have_their_own_output(worker: Driver) -> None:
    for n in range(3):
        source = f"import sys\nprint('out {n}', end='')\nprint('err {n}', file=sys.stderr, end='')"
        assert worker.run("script", source).verdict is Verdict.DONE
        # No waiting: what was written before the answer is in the pipe when the answer comes.
        assert worker.out.take(str(n)) == f"out {n}"
        assert worker.err.take(str(n)) == f"err {n}"


def test_lines_appear_while_the_step_runs(worker: Driver) -> None:
    worker.start("script", "import sys, time\nprint('one é')\ntime.sleep(600)")
    assert worker.out.take("\n") == "one é\n"
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED


def test_huge_output_arrives_whole(worker: Driver) -> None:
    outcome = worker.run("script", "for n in range(50_000): print(n, 'x' * 100)\nprint('the end')")
    assert outcome.verdict is Verdict.DONE
    lines = [line for line in worker.out.take("the end\n").splitlines() if line]
    assert lines[-1] == "the end"


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.close(1)\nos.close(2)",
        "import sys\nsys.stdout.close()\nsys.stderr.close()",
        "import sys, io\nsys.stdout = io.StringIO()\nsys.stderr = None",
        "import os\nfd = os.open(os.devnull, os.O_WRONLY)\nos.dup2(fd, 1)\nos.dup2(fd, 2)",
        "import sys\ndel sys.stdout, sys.stderr",
    ],
)
def test_a_step_that_closes_its_output_takes_it_from_no_other(worker: Driver, source: str) -> None:
    assert worker.run("script", source).verdict is Verdict.DONE
    worker.run("script", "import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert worker.out.take("\n") == "out\n"
    assert worker.err.take("\n") == "err\n"


def test_what_a_replaced_stream_still_holds_is_written(worker: Driver) -> None:
    source = "import sys\nsys.stdout = sys.kept = open(1, 'w', closefd=False)\nprint('mine')"
    assert worker.run("script", source).error is None
    assert worker.out.take("\n") == "mine\n"


# What must not leak ------------------------------------------------------------------------------

STATE = """
import atexit, decimal, gc, json, locale, logging, multiprocessing, os, resource, signal, socket
import sys, threading, time, warnings
import xml.dom as library
print(json.dumps({
    "environ": {k: v for k, v in os.environ.items() if k != "DAGSTER_MODELS_WORKER"},
    "cwd": os.getcwd(), "argv": sys.argv[1:], "path": sys.path,
    "signals": [str(signal.getsignal(n)).partition(" at ")[0] for n in (2, 10, 14, 15)],
    "timer": signal.getitimer(signal.ITIMER_REAL)[0], "umask": os.umask(0o22),
    "filters": [str(f) for f in warnings.filters],
    "logging": [str(logging.root.handlers), logging.root.level, logging.root.manager.disable],
    "hooks": [sys.excepthook is sys.__excepthook__, str(threading.excepthook)],
    "limit": sys.getrecursionlimit(), "helper": "helper" in sys.modules,
    "main": sorted(vars(sys.modules["__main__"])), "encoding": sys.stdout.encoding,
    "start method": multiprocessing.get_start_method(allow_none=True), "zone": time.tzname,
    "precision": decimal.getcontext().prec, "timeout": socket.getdefaulttimeout(),
    "locale": locale.setlocale(locale.LC_ALL), "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "nice": os.nice(0), "loggers": sorted(logging.root.manager.loggerDict),
    "threads": threading.active_count(), "memory": getattr(library, "memory", None),
    "atexit": atexit._ncallbacks(), "gc": [gc.isenabled(), gc.get_threshold()],
    "print": print.__module__, "descriptors": len(os.listdir("/proc/self/fd")),
}, default=str))
"""

TRASH = """
import atexit, builtins, decimal, gc, locale, logging, multiprocessing, os, resource, signal, socket
import sys, threading, time, warnings
import xml.dom as library
import helper
multiprocessing.set_start_method("spawn")
library.memory = "of the step before"
os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
decimal.getcontext().prec = 3; socket.setdefaulttimeout(1); locale.setlocale(locale.LC_ALL, "C")
resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99)); os.nice(1)
logging.getLogger("etl").addHandler(logging.StreamHandler(sys.stdout))
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
atexit.register(print, "late"); gc.disable(); left = open(os.devnull); builtins.print = id
os.environ.clear(); os.environ["LEAK"] = "1"
os.umask(0o77)
sys.argv.append("leak"); sys.path[:] = []; sys.path = ["/leak"]
for number in (2, 10, 14, 15): signal.signal(number, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 1000)
warnings.simplefilter("error")
logging.basicConfig(level=1); logging.disable(50)
sys.excepthook = threading.excepthook = print
sys.setrecursionlimit(5000)
sys.modules["__main__"] = None; sys.modules["json"] = None
leaked = 1
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
"""


def test_nothing_of_a_step_reaches_the_next(worker: Driver) -> None:
    worker.write("helper.py", "VALUE = 1\n")
    before = [worker.run("script", STATE, "state"), worker.out.take("\n")][1]
    trashed = worker.run("script", TRASH, "trash")
    assert trashed.error is None
    assert worker.out.take("late") == "late\n"
    after = [worker.run("script", STATE, "state"), worker.out.take("\n")][1]
    assert json.loads(after) == json.loads(before)


def test_a_table_is_published_by_a_process_that_its_model_has_turned_upside_down(
    worker: Driver, session: Session
) -> None:
    worker.write("helper.py", "")
    model = "import pyarrow" + TRASH + "\ndef model(warehouse): return [{'n': 1}]"
    assert worker.run("python", model).verdict is Verdict.COMMITTED
    assert session.query("select n from built") == [(1,)]


def test_a_step_may_change_the_functions_that_messages_are_written_with(worker: Driver) -> None:
    source = "import json\njson.dumps = json.loads = lambda *_, **__: 'nothing'"
    assert worker.run("script", source).verdict is Verdict.DONE
    assert worker.run("script", "import json\nassert json.loads('1') == 1").error is None


def test_random_numbers_of_two_steps_differ(worker: Driver) -> None:
    source = "import random\nimport numpy\nprint(random.random(), numpy.random.rand())"
    seen = set()
    for _ in range(3):  # from the second one on the template has numpy
        assert worker.run("script", source).error is None
        seen |= set(worker.out.take("\n").split())
    assert "numpy" in worker.warm
    assert len(seen) == 6


@pytest.mark.parametrize("library", ["numpy", "pandas", "pyarrow"])
def test_libraries_that_steps_need_are_imported_once(worker: Driver, library: str) -> None:
    """By the template, which must stay without a thread for the next fork."""
    source = f"import sys\nprint({library!r} in sys.modules)\nimport {library}"
    for found in ("False", "True", "True"):
        assert worker.run("script", source).error is None
        assert worker.out.take("\n") == f"{found}\n"
    assert len(os.listdir(f"/proc/{worker.template.pid}/task")) == 1


def test_a_library_that_leaves_a_thread_behind_is_not_forked(worker: Driver) -> None:
    """A fork might wait for ever for a lock of that thread: a new interpreter starts instead."""
    worker.warm.append("polars")  # as if it were one of the libraries that may be warm
    source = "import os, sys\nprint('--step' in sys.orig_argv, 'polars' in sys.modules)"
    for _ in range(2):
        assert worker.run("script", source).error is None
        assert worker.out.take("\n") == "True False\n"
    assert worker.run("python", "def model(w): return [{'n': 1}]").verdict is Verdict.COMMITTED
    worker.start("script", "import time\nprint('on')\ntime.sleep(600)")
    worker.out.take("on")
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED


def test_a_module_of_the_project_is_not_taken_for_a_library(worker: Driver) -> None:
    worker.write("numpy.py", "VALUE = 1\n")
    for _ in range(2):
        assert worker.run("script", "import numpy\nprint(numpy.VALUE)").error is None
        assert worker.out.take("\n") == "1\n"
    assert not worker.warm


def test_a_step_starts_in_the_projects_folder_and_leaves_the_workers(worker: Driver) -> None:
    where = "import os\nprint(os.getcwd())\nos.chdir('/')"
    for root in ("", str(worker.folder), ""):
        assert worker.run("script", where, project_root=root).error is None
        assert worker.out.take("\n") == f"{root or os.getcwd()}\n"


def test_modules_of_the_project_are_read_anew(worker: Driver) -> None:
    source = "import helper, package.inner\nprint(helper.VALUE, package.inner.VALUE)"
    for value in ("1", "22"):
        worker.write("helper.py", f"VALUE = {value}\n")
        worker.write("package/inner.py", f"VALUE = {value}\n")
        assert worker.run("script", source).error is None
        assert worker.out.take("\n") == f"{value} {value}\n"


def test_a_models_module_hides_no_other(worker: Driver) -> None:
    source = """
    from __future__ import annotations
    import dataclasses, json, pickle

    @dataclasses.dataclass
    class Row:
        n: int

    def model(warehouse):
        assert pickle.loads(pickle.dumps(Row(1))) == Row(1)
        return [dataclasses.asdict(Row(len(json.dumps([]))))]
    """
    outcome = worker.run("python", source, name="json")
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1)


def test_our_future_imports_are_not_the_files(worker: Driver) -> None:
    source = "def f(x: int): pass\nassert f.__annotations__['x'] is int"
    assert worker.run("script", source).error is None


# Stopping ----------------------------------------------------------------------------------------


def test_a_cancel_interrupts_python(worker: Driver, session: Session) -> None:
    source = "import time\ndef model(w):\n    print('on'); time.sleep(600)\n"
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    outcome = worker.answer()
    assert outcome.verdict is Verdict.CANCELED
    assert outcome.error is not None
    assert (outcome.error.title, outcome.error.line) == ("Canceled", 3)
    assert worker.run("script", "").verdict is Verdict.DONE


def test_a_cancel_interrupts_a_query(worker: Driver) -> None:
    source = f"def model(w):\n    print('on')\n    return w.sql({NEVER_ENDS!r}).df()\n"
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED
    outcome = worker.run("python", "def model(w): return w.sql('select 1 as n')")
    assert outcome.verdict is Verdict.COMMITTED  # on a session that works


#: The bodies of models that run a statement: by themselves, in spite of the interrupt, in a thread.
#: The first one is the sample of each CI.
RUNNING = {
    "plain": "run()",
    "swallowed": "try: run()\nexcept KeyboardInterrupt: return [{'n': 1}]",
    "cleaned up": "try: run()\nfinally: warehouse.execute('drop table begun')",
    "in a thread": "import threading\nthreading.Thread(target=run, daemon=True).start()\n"
    "threading.Event().wait()",
}


@pytest.mark.nightly_for("swallowed", "cleaned up", "in a thread")
@pytest.mark.parametrize("body", RUNNING.values(), ids=RUNNING)
def test_a_step_that_is_reported_as_canceled_does_nothing_any_more(
    worker: Driver, session: Session, body: str
) -> None:
    """Its statement may need some time to end, here until its warehouse process goes on."""
    statements = f"create table begun as select 1 as n; create table late as {NEVER_ENDS}"
    source = f"""def model(warehouse):
    def run(): warehouse.execute({statements!r})
{indent(body, "    ")}
    return []
"""
    worker.start("python", source)
    worker.next_session()
    while not session.query("select 1 from duckdb_tables() where table_name = 'begun'"):
        pass
    os.kill(session.server_pid, signal.SIGSTOP)
    try:
        worker.cancel()
        assert not wire.readable(worker.control, 0.2)
    finally:
        os.kill(session.server_pid, signal.SIGCONT)
    assert worker.answer().verdict is Verdict.CANCELED
    assert session.query("select 1 from duckdb_tables() where table_name = 'late'") == []


@pytest.mark.parametrize("kind", ["python", pytest.param("script", marks=pytest.mark.nightly)])
def test_a_failed_step_is_reported_when_the_statements_of_its_threads_have_ended(
    worker: Driver, session: Session, tmp_path: Path, kind: str
) -> None:
    """Here one in a slow function, between whose calls DuckDB looks for an interrupt."""
    os.mkfifo(fails := tmp_path / "fails")
    call = "md5(repeat('x', 80000000 + n::int))"
    slow = f"select 1 as n union all select n + 1 from slow where {call} > ''"
    statements = f"create table begun as select 1; with recursive slow as ({slow}) from slow"
    head = "def model(w):" if kind == "python" else "from dagster_models import warehouse as w"
    body = f"""
import threading
def left():
    try: w.execute({statements!r})
    finally: w.execute("create table late as select 1 as n")
threading.excepthook = lambda it: None
threading.Thread(target=left, daemon=True).start()
open({str(fails)!r}).close()
raise ValueError
"""
    worker.start(kind, head + (indent(body, "    ") if kind == "python" else body))
    left = worker.next_session()["session_id"]
    folder = Path(session.bulk_folders[0]).with_name(left)  # it goes when the session has ended
    assert folder.exists()
    while not session.query("select 1 from duckdb_tables() where table_name = 'begun'"):
        pass
    fails.write_text("")
    assert not worker.answer().succeeded
    assert not folder.exists()
    assert session.query("select 1 from duckdb_tables() where table_name = 'late'") == []


@pytest.mark.nightly
def test_a_model_is_published_when_the_statements_of_its_threads_have_ended(
    worker: Driver, session: Session, tmp_path: Path
) -> None:
    os.mkfifo(returns := tmp_path / "returns")
    late = "create table late as select md5(repeat('x', 80000000)) as n"
    source = f"""
    import threading
    def model(warehouse):
        def run(): warehouse.execute("create table begun as select 1 as n; {late}")
        threading.Thread(target=run, daemon=True).start()
        open({str(returns)!r}).close()
        return [{{"n": 1}}]
    """
    worker.start("python", source)
    while not session.query("select 1 from duckdb_tables() where table_name = 'begun'"):
        pass
    returns.write_text("")
    assert worker.answer().verdict is Verdict.COMMITTED
    assert session.query("select 1 from duckdb_tables() where table_name = 'late'") == [(1,)]


def test_a_result_that_an_earlier_part_has_not_read_is_over(worker: Driver) -> None:
    source = """
    import threading
    def model(warehouse):
        rows = getattr(threading, "kept", None)
        threading.kept = warehouse.sql("select 1 as n")
        return rows.fetchall() if rows else [{"n": int(warehouse.partition.key)}]
    """
    wanted = tuple(Partition(n, ValueWindow((n,))) for n in "12")
    how = Incremental("replace", partitioned=Partitioned("n", wanted, batch=1))
    outcome = worker.run("python", source, materialization=how)
    assert outcome.partitions == ("1",)
    assert outcome.error is not None
    assert outcome.error.name == "SessionClosed"
    assert "a result of it that was not read before" in outcome.error.message
    assert "thread" not in outcome.error.message


def test_a_thread_left_behind_cannot_write_while_the_model_is_published(worker: Driver) -> None:
    path = worker.write(
        "check.py",
        """
        import threading
        def check(warehouse):
            (left,) = (it for it in threading.enumerate() if it.name == "left")
            left.published.set()
            left.join(20)
            return True
        """,
    )
    source = """
    import threading
    def model(warehouse):
        def write():
            left.published.wait()
            warehouse.execute("create table late as select 1 as n")
        threading.excepthook = lambda it: print(it.exc_value.name)
        left = threading.Thread(target=write, name="left", daemon=True)
        left.published = threading.Event()
        left.start()
        return [{"n": 1}]
    """
    code = PythonCode(LoadedFile(str(path), path.name), str(worker.folder), (), {}, {})
    outcome = worker.run("python", source, checks=(CheckTask("c", "", code=code),))
    assert outcome.verdict is Verdict.COMMITTED
    assert worker.out.take("\n").endswith("SessionClosed\n")


def test_a_cancel_stops_queries_in_threads_that_the_model_waits_for(worker: Driver) -> None:
    source = f"""
    import threading
    from concurrent.futures import ThreadPoolExecutor
    def model(warehouse):
        stopped = threading.Event()
        def late():
            stopped.wait()  # begins when the cancel has come already
            warehouse.sql({NEVER_ENDS!r}).df()
        with ThreadPoolExecutor() as pool:
            future = pool.submit(late)
            try:
                print("on")
                future.result()
            finally:
                stopped.set()
    """
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED


def test_a_canceled_model_may_clean_up(worker: Driver, session: Session) -> None:
    session.execute("create table scratch as select 1 as n")
    source = """
    import time
    def model(warehouse):
        warehouse.sql("select 1").fetchall()
        try:
            print("on")
            time.sleep(600)
        finally:
            warehouse.sql("select sum(a.range) from range(30000) a, range(30000) b").fetchall()
            warehouse.execute("drop table scratch")
    """
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED
    assert session.query("select * from duckdb_tables() where table_name = 'scratch'") == []


def test_an_error_of_its_own_is_no_cancel(worker: Driver) -> None:
    source = """
    import signal, threading
    def model(warehouse):
        signal.signal(signal.SIGINT, lambda *_: done.append(1))
        done = []
        print('on')
        while not done: threading.Event().wait(0.01)
        raise LookupError("mine")
    """
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    outcome = worker.answer()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.message == "mine"


def test_a_model_that_swallows_the_interrupt_is_not_published(
    worker: Driver, session: Session
) -> None:
    source = """
    import time
    def model(warehouse):
        try:
            print('on')
            time.sleep(600)
        except KeyboardInterrupt:
            return [{"n": 1}]
    """
    for _ in range(5):  # a publication takes less time than the cancel's next try
        worker.start("python", source)
        worker.out.take("on")
        worker.cancel()
        assert worker.answer().verdict is Verdict.CANCELED
    assert session.query("select * from duckdb_tables() where table_name = 'built'") == []


def test_a_cancel_while_publishing_is_the_warehouses_to_answer(
    worker: Driver, session: Session
) -> None:
    session.execute("create table built as select 'old' as n")
    worker.start("python", "def model(w): return [{'n': 'new'}]", checks=(SLOW_CHECK,))
    worker.next_session()
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED
    assert session.query("select n from built") == [("old",)]


def test_whenever_the_cancel_comes_the_answer_is_true(worker: Driver, session: Session) -> None:
    # Libraries are imported at the first table. An import that is interrupted stays broken, which
    # is why no worker that was interrupted is used again in a run; here the same one goes on.
    assert worker.run("python", "def model(w): return [{'n': 0}]").verdict is Verdict.COMMITTED
    last, verdicts = 0, set()
    for n in range(1, 25):
        source = f"def model(w):\n    print('on')\n    sum(range({n * 20_000}))\n"
        worker.start("python", source + f"    return [{{'n': {n}}}]\n")
        worker.out.take("on")
        worker.out.take() if n % 2 else None
        worker.cancel()
        outcome = worker.answer()
        verdicts.add(outcome.verdict)
        last = n if outcome.verdict is Verdict.COMMITTED else last
        assert outcome.verdict is not Verdict.ROLLED_BACK
        assert session.query("select n from built") == [(last,)]


def test_a_cancel_of_an_idle_worker_is_harmless(worker: Driver) -> None:
    worker.run("script", "")
    worker.cancel()
    assert worker.run("script", "print('fine')").verdict is Verdict.DONE


def test_a_sigterm_for_all_processes_is_a_cancel(worker: Driver) -> None:
    """A service that is stopped sends it to the run worker, too, which then asks each step to
    stop."""
    source = "import time\ndef model(warehouse):\n    print('on')\n    time.sleep(600)"
    worker.start("python", source)
    worker.out.take("on")
    os.kill(worker.pid(), signal.SIGTERM)
    worker.template.send_signal(signal.SIGTERM)
    worker.cancel()
    assert worker.answer().verdict is Verdict.CANCELED
    assert worker.run("script", "").verdict is Verdict.DONE


def test_sigterm_ends_the_children_of_a_step_as_ever(worker: Driver) -> None:
    source = """
    import multiprocessing, subprocess, time, warnings
    warnings.simplefilter("ignore")
    for _ in range(30):  # at once, while it is still set up
        forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        forked.start()
        forked.terminate()
        forked.join()
    with subprocess.Popen(["sleep", "600"]) as child:
        child.terminate()
    print(forked.exitcode, child.returncode)
    """
    assert worker.run("script", source).error is None
    assert worker.out.take("\n") == "-15 -15\n"


def test_a_stray_sigint_is_an_error_of_the_step(worker: Driver) -> None:
    source = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(600)"
    outcome = worker.run("script", source)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.error is not None
    assert outcome.error.name == "KeyboardInterrupt"
    worker.template.send_signal(signal.SIGINT)  # and the template does not mind it
    assert worker.run("script", "").verdict is Verdict.DONE


# Ways to die -------------------------------------------------------------------------------------


def test_the_template_ends_with_the_run(worker: Driver) -> None:
    worker.run("script", "")
    worker.abandon()
    assert worker.template.wait(10) == 0


@pytest.mark.parametrize(
    ("death", "code"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
        ("os.abort()", -6),
    ],
)
def test_a_death_in_user_code_ends_the_worker_without_an_answer(
    worker: Driver, session: Session, death: str, code: int
) -> None:
    session.execute("create table kept as select 1 as n")
    source = f"""
    import os
    def model(warehouse):
        warehouse.execute("begin")
        warehouse.execute("delete from kept")
        print("last words")
        {death}
    """
    worker.start("python", source)
    assert worker.ends() == code
    assert worker.out.take("\n") == "last words\n"
    assert session.query("select n from kept") == [(1,)]


def test_code_that_swallows_interrupts_can_be_killed(worker: Driver, session: Session) -> None:
    source = """
    import time
    def model(warehouse):
        while True:
            try:
                print("on")
                time.sleep(600)
            except KeyboardInterrupt:
                print("never")
    """
    worker.start("python", source)
    worker.out.take("on")
    worker.cancel()
    worker.out.take("never")
    worker.kill()
    assert worker.ends() == -9
    assert session.query("select count(*) from dagster_models.commits") == [(0,)]


@pytest.mark.parametrize("deaf", ["", "signal.signal(signal.SIGINT, signal.SIG_IGN)"])
def test_no_process_outlives_the_run_worker(worker: Driver, deaf: str) -> None:
    source = f"""
    import signal, subprocess, time
    subprocess.Popen(["sleep", "600"])
    {deaf}
    print("on")
    time.sleep(600)
    """
    worker.start("script", source)
    worker.out.take("on")
    worker.abandon()
    assert worker.template.wait(10) == 0
    worker.out.wait_for_end()  # the child held it, too


def test_a_step_does_not_outlive_its_run_worker_where_its_template_is_dead(worker: Driver) -> None:
    worker.start("script", "import time\nprint('on')\ntime.sleep(600)")
    worker.out.take("on")
    worker.template.kill()
    worker.abandon()
    worker.out.wait_for_end()


def test_children_and_threads_that_stay_do_not_block(worker: Driver) -> None:
    source = """
    import subprocess, sys, threading, time
    subprocess.Popen(["sleep", "600"])
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    quitter = threading.Thread(target=sys.exit, args=(3,))
    quitter.start()
    quitter.join()
    """
    assert worker.run("script", source).verdict is Verdict.DONE
    worker.abandon()
    worker.out.wait_for_end()


def test_a_script_ends_as_a_program_does(worker: Driver) -> None:
    """Its threads are waited for, and what it left open is written."""
    source = """
    import sys, threading
    def work():
        go.wait()
        print("worked")
    go = threading.Event()
    threading.Thread(target=work).start()
    threading.Timer(0.1, go.set).start()
    left = open("left.txt", "w")
    left.write("all of it")
    def circle(): return left
    sys.exit(0)
    """
    assert worker.run("script", source).verdict is Verdict.DONE
    assert worker.out.take("worked")
    (left,) = worker.folder.parent.rglob("left.txt")
    assert left.read_text() == "all of it"


def test_a_forked_child_that_returns_is_not_taken_for_the_worker(worker: Driver) -> None:
    source = """
    import os, warnings
    warnings.simplefilter("ignore")
    from dagster_models import warehouse
    warehouse.sql("select 1").fetchall()
    if os.fork():
        os.wait()
        print(warehouse.sql("select 2").fetchall())
    else:
        try:
            warehouse.sql("select 3").fetchall()
        except RuntimeError as error:
            print("forked process" in str(error))
    """
    assert worker.run("script", source).error is None
    assert worker.out.take("\n[(2,)]\n") == "True\n[(2,)]\n"
    assert worker.run("script", "print('one answer each')").verdict is Verdict.DONE


def test_a_warehouse_lost_while_publishing_is_in_doubt(worker: Driver, session: Session) -> None:
    worker.start("python", "def model(w): return [{'n': 1}]", checks=(SLOW_CHECK,))
    os.kill(worker.next_session()["server_pid"], signal.SIGKILL)
    outcome = worker.answer()
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.error is not None


def test_a_warehouse_lost_under_user_code_is_its_error(worker: Driver, session: Session) -> None:
    source = f"def model(w):\n    return w.sql({NEVER_ENDS!r}).df()\n"
    worker.start("python", source)
    os.kill(worker.next_session()["server_pid"], signal.SIGKILL)
    outcome = worker.answer()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.line == 2
