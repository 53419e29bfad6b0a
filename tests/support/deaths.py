"""The ways to die, where, and what must become of the step: the data of test_ways_to_die.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

VICTIM = "main.victim"

POINTS = ("begin", "build", "check", "record", "commit")
TITLES = ("before BEGIN", "in the build", "in a check", "after the record", "after COMMIT")

# The table -----------------------------------------------------------------------------------
# F failed, C canceled: the table is as before. S succeeded: it is the new one. E: either, and as
# it is reported. A digit says why there is no such death.

SQL, PYTHON, WORKER = (
    "SQL step, warehouse process",
    "Python step, warehouse process",
    "Python step, its worker",
)
SQL_SERVER, PYTHON_SERVER = "SQL step, server", "Python step, server"

_PROCESS = {
    "sys.exit": "F F F F S",
    "os._exit": "F F F F S",
    "segfault": "F F F F S",
    "SIGKILL": "F F F F S",
    "out of memory": "F F F E S",
    "hang": "C C C C S",
    "closed stdout": "S S S S S",
    "full disk": "F F F F S",
}
_WORKER = {
    "sys.exit": "F 3 3 3 3",
    "os._exit": "F F F S S",
    "segfault": "F F F S S",
    "SIGKILL": "F F F S S",
    "out of memory": "F S S S S",
    "hang": "C C C S S",
    "nonsense result": "F 4 4 4 4",
    "gigantic result": "S 4 4 4 4",
    "gigantic error": "F 4 4 4 4",
    "closed stdout": "S S S S S",
    "closed descriptors": "F S S S S",
    "full disk": "S S S S S",  # a limit that user code lowers is its own: ours is put back
}
_SAME_CODE = dict.fromkeys(("sys.exit", "segfault", "closed stdout"), "5 5 5 5 5")
_SERVER = {
    # Before BEGIN nothing is lost, and the session connects anew.
    "session ended": "S F F F S",
    "backend killed": "S F F F S",
    "server killed": "S F F F S",
}
CASES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "duckdb": {
        SQL: {
            **_PROCESS,
            "memory_limit": "1 F F 1 1",
            "gigantic result": "2 F F 2 2",
        },
        PYTHON: {
            **_PROCESS,
            **_SAME_CODE,
            "out of memory": "E E E E S",
            "full disk": "E E E F S",
        },
        WORKER: _WORKER,
    },
    "postgres": {
        SQL: {
            **_PROCESS,
            "out of memory": "E E E E E",
            "full disk": "S S S S S",  # of the client's machine: it writes nothing for SQL
            "gigantic result": "2 F F 2 2",
        },
        SQL_SERVER: _SERVER,
        PYTHON: {
            **_PROCESS,
            **_SAME_CODE,
            "out of memory": "E E E E E",
            "full disk": "S S S S S",
        },
        PYTHON_SERVER: {**_SERVER, "server killed": "5 5 5 5 5"},
        WORKER: _WORKER,
    },
}
REASONS = {
    "1": "DuckDB refuses what a query asks for; these points ask for nothing",
    "2": "only a query's own text can be gigantic, and none of the user's runs here",
    "3": "the user's code has returned: sys.exit in a thread of its ends only that thread",
    "4": "the model returns, or raises, before BEGIN",
    "5": "the same code in the same process as for an SQL step",
}
STATES = {"F": "failed", "S": "succeeded", "C": "canceled", "E": "either"}


@dataclass(frozen=True)
class Case:
    warehouse: str
    who: str
    way: str
    point: str
    state: str

    @property
    def in_worker(self) -> bool:
        return self.who == WORKER

    @property
    def in_server(self) -> bool:
        return self.who in (SQL_SERVER, PYTHON_SERVER)

    def __str__(self) -> str:
        return f"{self.warehouse}-{self.who}-{self.way}-{self.point}".replace(" ", "_")


ALL = [
    Case(warehouse, who, way, point, STATES[cell])
    for warehouse, tables in CASES.items()
    for who, ways in tables.items()
    for way, cells in ways.items()
    for point, cell in zip(POINTS, cells.split(), strict=True)
    if cell in STATES
]


def pairwise(cases: Iterable[Case]) -> list[Case]:
    """Few of them that have every way and every point of everybody who dies. The worker of a Python
    step dies no other death on another warehouse: there every way of anybody will do."""
    left = {case: _meets(case) for case in cases}
    chosen: list[Case] = []

    def gain(case: Case) -> tuple[float, ...]:
        at_its_point = sum(it.point == case.point for it in chosen)
        return len(left[case]), -_seconds(case), -at_its_point

    while any(left.values()):
        chosen.append(max(left, key=gain))
        met = left.pop(chosen[-1])
        left = {case: meets - met for case, meets in left.items()}
    return sorted(chosen, key=ALL.index)


def _meets(case: Case) -> set[tuple[str, ...]]:
    if case.warehouse == "duckdb":
        return {("way", case.who, case.way), ("point", case.who, case.point)}
    way = {(case.warehouse, case.way)}
    return way if case.in_worker else way | {(case.warehouse, case.who, case.point)}


def _seconds(case: Case) -> float:
    """About how long it takes: what hears no interrupt is waited for."""
    return {"hang": 5.0}.get(case.way, 1.0)


# What the victim does ------------------------------------------------------------------------

NEW = "select 'new' as n"
OFFENDS_NOBODY = "select * from main.victim where n <> 'new'"


@dataclass(frozen=True)
class Words:
    """Queries and checks of each warehouse's own. ``large``: more than the memory of a process has
    room for; ``wide``: more than its disk has."""

    endless: str
    endless_check: str
    large: str
    large_check: str
    wide: str
    gigantic: str  # an expression whose error is longer than what may cross at once


WORDS: Mapping[str, Words] = {
    "duckdb": Words(
        "select 'new' as n, sum(i) as s from range(100000000000000) t(i)",
        "select sum(i) as s from range(100000000000000) t(i)",
        "select 'new' as n, list(i) as l from range(20000000) t(i)",  # a list cannot spill
        "select list(i) as l from range(20000000) t(i) having len(l) < 0",
        "select 'new' as n, i from range(200000) t(i)",
        "error(repeat('x', 70000000))",
    ),
    "postgres": Words(
        "select 'new' as n, s::text from pg_sleep(3600) s",
        "select 1 as n from pg_sleep(3600)",
        *(NEW, OFFENDS_NOBODY, NEW),  # the server has a memory and a disk of its own
        "repeat('x', 70000000)::integer",
    ),
}

#: Deaths in the middle of a statement, which must therefore be long.
STRIKES = (
    *("os._exit", "segfault", "SIGKILL"),
    *("session ended", "backend killed", "server killed"),
)


def sql_of(case: Case) -> tuple[str, str]:
    """The query and the check of an SQL step."""
    query, check = NEW, OFFENDS_NOBODY
    words = WORDS[case.warehouse]
    if case.in_worker:  # it is in Python that something goes wrong
        return query, check
    if case.way in STRIKES:
        query = words.endless if case.point == "build" else query
        check = words.endless_check if case.point == "check" else check
    elif case.way in ("out of memory", "memory_limit"):
        query = words.large if case.point in ("begin", "build") else query
        check = words.large_check if case.point == "check" else check
    elif case.way == "full disk":
        query = words.wide
    elif case.way == "gigantic result":
        query = f"select {words.gigantic} as n" if case.point == "build" else query
        check = f"select {words.gigantic} as n" if case.point == "check" else check
    return query, check


DEEDS = {
    "sys.exit": "sys.exit(3)",
    "os._exit": "os._exit(7)",
    "segfault": "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); faulthandler._sigsegv()",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "out of memory": "limit(resource.RLIMIT_AS, memory()); fill = fill_it",
    "hang": "hold_the_interpreter()",
    "closed stdout": "sys.stdout.close(); os.close(1); os.close(2)",
    "closed descriptors": "os.closerange(0, 256)",
    "full disk": "limit(resource.RLIMIT_FSIZE, 0)",
}

MODEL = """
import ctypes, faulthandler, os, resource, signal, sys, threading

def limit(what, soft):
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def hold_the_interpreter():
    # As a library in C does that neither lets go of the interpreter's lock nor looks at signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        ctypes.PyDLL(None).sleep(1000)

def strike():
    fill_it = bytes
    {deed}

def told(text):
    try:
        with open(os.path.join({folder!r}, "gone"), "w") as file:
            file.write(text)
    except OSError:
        pass

def wait():
    with open(os.path.join({folder!r}, "reached")) as file:
        file.read()
    gone = os.open(os.path.join({folder!r}, "gone"), os.O_WRONLY)
    {thread}

def model(warehouse):
    {body}
"""
IN_A_THREAD = "threading.Thread(target=wait, daemon=True).start(); return [{'n': 'new'}]"
RETURNS = "return [{'n': 'new'}]"
BODIES = {
    "out of memory": "strike(); return [{'n': 'new', 'x': bytes(1 << 30)}]",
    "hang": "os.close(os.open(os.path.join(FOLDER, 'reached'), os.O_WRONLY)); strike()",
    "nonsense result": "return (row for row in [threading.Lock()])",
    "gigantic result": "import pyarrow as pa; "
    "return pa.table({'n': ['new'] * 1000, 'x': ['x' * 100_000] * 1000})",
    "gigantic error": "raise ValueError('x' * 100_000_000)",
}


def python_of(case: Case, folder: Path) -> str:
    deed = DEEDS.get(case.way, "pass") if case.in_worker else "pass"
    if not case.in_worker:
        body = RETURNS
    elif case.point == "begin":
        body = BODIES.get(case.way, f"strike(); {RETURNS}").replace("FOLDER", repr(str(folder)))
    else:
        body = IN_A_THREAD
    dies = case.way in ("os._exit", "segfault", "SIGKILL", "hang")
    go_on = "os.write(gone, b'go on'); os.close(gone)"
    if case.way == "closed descriptors":
        thread = "os.write(gone, b'go on'); strike()"  # closes it too
    elif case.way == "hang":
        thread = "os.close(gone); strike()"
    else:
        thread = "strike()" if dies else f"strike(); {go_on}"
    return MODEL.format(deed=deed, folder=str(folder), thread=thread, body=body)


def as_table(outcomes: Mapping[Case, str]) -> str:
    """What became of the steps, in the form of the tables above."""
    width = max(len(way) for tables in CASES.values() for ways in tables.values() for way in ways)
    found = {
        (case.warehouse, case.who, case.way, case.point): state for case, state in outcomes.items()
    }
    lines = []
    for warehouse, tables in CASES.items():
        for who, ways in tables.items():
            heads = "".join(f"{title:18}" for title in TITLES)
            lines += ["", f"{who} dies ({warehouse})", f"  {'':{width}}  {heads}".rstrip()]
            for way, cells in ways.items():
                row = [
                    found.get(
                        (warehouse, who, way, point), f"- [{cell}]" if cell in REASONS else ""
                    )
                    for point, cell in zip(POINTS, cells.split(), strict=True)
                ]
                lines.append(f"  {way:{width}}  {''.join(f'{text:18}' for text in row)}".rstrip())
    lines += ["", *(f"[{number}] {reason}" for number, reason in REASONS.items())]
    return "\n".join(lines)
