"""Loading with the caches and on all cores gives the same as loading without them."""

from __future__ import annotations

import gc
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.sql_text import compile_step, compile_text
from dagster_models.core.model import Key, Project
from dagster_models.core.traced import Schema, TraceRequest, Upstream
from dagster_models.errors import ProjectError
from dagster_models.project.loading import parser_pool, parser_process, sql_reader
from dagster_models.project.loading.cache import read_entries, write_entries
from dagster_models.project.loading.parser_pool import ParserPool
from dagster_models.project.loading.sql_reader import PARSED_FILE, TRACES_FILE, key_of
from dagster_models.sql.parse import ParsedSql, parse_source
from dagster_models.sql.tokens import TokenizedText
from dagster_models.util.gc_tuning import rare_collections
from project_cases import DEFAULT, write_project
from project_cases import load as load_plainly
from project_cases import load_with_caches as load

FILES = {
    "models/a.sql": "select 1 as n",
    "models/b.sql": "with a as (select * from a) select a.n, $year as y from a",
    "models/c.sql": "select staging.b.n from staging.b -- a comment",
    "models/staging/b.sql": "select n from main.b",
    "checks/few.sql": "select * from a where n > 1",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(
        tmp_path, {"dagster_models.yaml": f"{DEFAULT}vars: {{year: 2013}}\n", **FILES}
    )


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The texts that had to be parsed and traced, in that order."""
    texts: dict[str, list[str]] = {"parse": [], "trace": []}

    def noted(job: str) -> Callable[[Any], Any]:
        def do(item: Any) -> Any:
            found = parser_process.JOBS[job](item)
            if job == "both":
                texts["parse"].append(item[0][0])
                texts["trace"] += [item[0][0]] * (found[1] is not None)
            else:
                texts[job].append(item[0])
            return found

        return do

    monkeypatch.setattr(parser_pool, "JOBS", {job: noted(job) for job in parser_process.JOBS})
    return texts


def test_what_is_known_is_not_found_out_again(root: Path, done: dict[str, list[str]]) -> None:
    first = load(root)
    assert len(done["parse"]) == len(done["trace"]) == 5
    done["parse"].clear()
    done["trace"].clear()
    second = load(root)
    assert done == {"parse": [], "trace": []}
    assert second == first == load_plainly(root)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str, bool]]:
    """How often each text was parsed in this process, no matter who asked. (All are given to the
    parser, also those of a common form.)"""
    counted: Counter[tuple[str, str, bool]] = Counter()

    def parse(source: TokenizedText, queries_only: bool = True, **how: bool) -> ParsedSql:
        counted[source.text, source.dialect.name, queries_only] += 1
        return parse_source(source, queries_only, **how)

    monkeypatch.setattr("dagster_models.sql.parse.parse_common", lambda source, **how: None)
    monkeypatch.setattr("dagster_models.sql.parse.parse_source", parse)
    return counted


@pytest.mark.parametrize("load_it", [load, load_plainly])
def test_a_text_is_parsed_once_in_a_process(
    root: Path, load_it: Callable[..., Project], parsed: Counter[tuple[str, str, bool]]
) -> None:
    """Also when it is compiled, and when a second project is loaded that contains it too."""
    python = "def model(warehouse):\n    return warehouse.sql('select 7 as x from a')\n"
    (root / "models/d.py").write_text(python)
    (root / "models/e.py").write_text(python)
    first = load_it(root)
    for step in first.steps.values():
        for target in first.targets.values():
            if step.kind == "sql":
                compile_step(first, step, target)
            for text in step.queries:
                compile_text(first, step, text, target)
            for check in step.checks:
                check_task(first, step, check, target)
    (root / "target").mkdir(exist_ok=True)
    for file in (root / "target").iterdir():
        file.unlink()
    assert load_it(root, texts=first.texts) == first
    assert set(parsed.values()) == {1}
    assert len(parsed) == len(FILES) + 1


def test_one_changed_file_is_all_that_is_read(root: Path, done: dict[str, list[str]]) -> None:
    before = load(root)
    for texts in done.values():
        texts.clear()
    (root / "models/a.sql").write_text("select 2 as n")
    after = load(root)
    assert done == {"parse": ["select 2 as n"], "trace": ["select 2 as n"]}
    a = Key("main", "a")
    assert after.steps[a].code_version != before.steps[a].code_version


def test_a_changed_column_changes_the_traces_of_its_readers_and_no_others(
    root: Path, done: dict[str, list[str]]
) -> None:
    (root / "models/d.sql").write_text("select 1 as z")
    load(root)
    done["trace"].clear()
    (root / "models/a.sql").write_text("select 'a' as n")
    c = load(root).steps[Key("main", "c")]
    assert [(column.name, column.type) for column in c.trace.columns] == [("n", "VARCHAR")]
    assert "select 1 as z" not in done["trace"]
    assert len(done["trace"]) == 5


def test_another_dialect_reads_the_same_text_differently(root: Path) -> None:
    seen = set()
    for dialect in ("duckdb", "snowflake"):
        (root / "dagster_models.yaml").write_text(
            f"{DEFAULT}dialect: {dialect}\nunknown_columns: warn\nvars: {{year: 2013}}\n"
        )
        found = load(root).steps[Key("main", "b")]
        assert found == load_plainly(root).steps[Key("main", "b")]
        seen |= {found.references[0].parts, found.trace.columns[0].name}
    assert seen == {("a",), ("A",), "n", "N"}
    text = ("select 1", "duckdb", True)
    assert key_of(text) != key_of((*text[:2], False))


def test_a_load_for_its_errors_has_all_of_them_and_keeps_nothing(root: Path) -> None:
    (root / "models/bad.sql").write_text("select 1 +")
    (root / "models/lost.sql").write_text("select $nothing as Total from a join nowhere using (n)")
    quick = load(root, columns=False, whole=False, errors_only=True)
    assert not (root / "target").exists()
    usual = load(root, columns=False, whole=False)
    assert {it.path for it in quick.warnings} >= {"models/bad.sql", "models/lost.sql"}
    assert quick.warnings == usual.warnings
    assert quick.texts == {text: replace(it, normalized="") for text, it in usual.texts.items()}
    assert (root / "target" / PARSED_FILE).exists()


def test_a_text_that_does_not_parse_is_reported_as_always(root: Path) -> None:
    (root / "models/a.sql").write_text("select (1")
    for _ in range(2):
        with pytest.raises(ProjectError, match=r"models/a\.sql:1:"):
            load(root)


@pytest.mark.parametrize("file", [PARSED_FILE, TRACES_FILE])
@pytest.mark.parametrize("worth", [b"", b"(1, 2)", b"plain", None])
def test_an_entry_that_is_damaged_is_made_anew(
    file: str,
    worth: bytes | None,
    root: Path,
    done: dict[str, list[str]],
) -> None:
    good = load(root)
    entries = read_entries(root / "target" / file)
    cut = {key: entry[:-5] if worth is None else worth for key, entry in entries.items()}
    write_entries(root / "target" / file, cut)
    for texts in done.values():
        texts.clear()
    assert load(root) == good
    assert len(done["parse" if file == PARSED_FILE else "trace"]) == 5


def test_a_folder_that_cannot_be_written_is_only_slower(root: Path) -> None:
    (root / "target").write_text("a file, no folder")
    assert len(load(root).steps) == 4


def test_the_collector_is_left_as_it_was(root: Path) -> None:
    before = gc.get_threshold()
    (root / "models/a.sql").write_text("select (1")
    with pytest.raises(ProjectError):
        load(root)
    assert gc.get_threshold() == before
    gc.set_threshold(0)  # the user's own choice
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_a_text_leaves_nothing_to_the_collector() -> None:
    text = "with c as (select a.n, b.m from s.a join b on a.n = b.n) select *, n + m as x from c"
    schema = Schema((("n", "INTEGER"), ("m", "INTEGER")), closed=True, certain=True)
    meant = {name: Upstream(("s", name), schema) for name in ("s.a", "b")}
    assert all(parser_process.parse_and_trace(((text, "duckdb", True), meant)))  # imports
    gc.collect()
    gc.disable()
    try:
        assert all(parser_process.parse_and_trace(((text, "duckdb", True), meant)))
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- all cores -------------------------------------------------------------------------------


@pytest.fixture
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser_pool, "ITEMS_PER_NEW_PROCESS", dict.fromkeys(parser_process.JOBS, 7))
    monkeypatch.setattr(parser_pool, "_cores", lambda: 3)


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> Callable[[ParserPool], None]:
    """Nothing is done here before another process has started and can take a batch."""

    def make_lazy(pool: ParserPool) -> None:
        def waiting(job: str) -> Callable[[Any], bytes | None]:
            def do(item: Any) -> bytes | None:
                if pool._workers and pool.with_room(len(TEXTS)) is None:
                    assert pool._answers.select(60), "no process has said anything"
                return parser_process.JOBS[job](item)

            return do

        monkeypatch.setattr(parser_pool, "JOBS", {job: waiting(job) for job in parser_process.JOBS})

    return make_lazy


TEXTS = [(f"select {i} as n from t{i % 7}", "duckdb", True) for i in range(30)]
TEXTS[17] = ("select from from", "duckdb", True)
QUERIES = [TraceRequest(text, dialect, {}) for text, dialect, _ in TEXTS]
ALONE = [parser_process.parse(text) for text in TEXTS]
TRACED = [parser_process.trace_columns(query) for query in QUERIES]


@pytest.mark.usefixtures("three_cores")
def test_all_cores_give_the_same_and_in_order(
    lazy: Callable[[ParserPool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ALONE[17] is None
    batches: list[int] = []
    sent = parser_pool._send

    def noted(worker: subprocess.Popen[bytes], batch: tuple[str, Sequence[object]]) -> None:
        batches.append(len(batch[1]))
        sent(worker, batch)

    monkeypatch.setattr(parser_pool, "_send", noted)
    with ParserPool() as pool:
        lazy(pool)
        assert pool.map("parse", TEXTS) == ALONE
        # The same processes, whatever is asked of them.
        assert pool.map("trace", QUERIES) == TRACED
        workers = list(pool._workers)
        assert len(workers) == 2
    assert 20 < sum(batches) < 60
    assert max(batches) < 10
    assert all(worker.poll() is not None for worker in workers)


@pytest.mark.usefixtures("three_cores")
def test_nobody_waits_for_a_process_that_is_slow_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = tmp_path / "worker"
    worker.write_text("#!/bin/sh\nread forever\n")
    worker.chmod(0o755)
    monkeypatch.setattr(parser_pool.sys, "executable", str(worker))
    with ParserPool() as pool:
        assert pool.map("parse", TEXTS) == ALONE
        assert len(pool._workers) == 2


@pytest.mark.usefixtures("three_cores")
@pytest.mark.parametrize("end", ["read forever", "exit 3"])
def test_a_process_without_the_parser_does_what_no_other_has_started_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str
) -> None:
    """It leaves all to the others, and waits for them, but not for ever."""
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\n{end}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(parser_pool.sys, "executable", str(worker))
    monkeypatch.setattr(parser_pool, "_can_parse", lambda: False)
    monkeypatch.setattr(parser_pool, "START_SECONDS", 0.1)
    with ParserPool() as pool:
        assert pool.map("parse", TEXTS) == ALONE
        assert pool._workers == []


ODD = """
import pickle, sys
from dagster_models.project.loading import parser_process
parser_process.answer([])
pickle.load(sys.stdin.buffer)
{then}
"""
PRINTS = """
print("a site is here", flush=True)
from dagster_models.project.loading import parser_process
parser_process.main()
"""
#: The first three never say that they have started; the others do, and fail at their first batch.
ENDS = [
    PRINTS,
    "import os; os._exit(3)",
    "import time; print('no pickle')",
    ODD.format(then="sys.exit(3)"),
    ODD.format(then="parser_process.answer([None])"),
    ODD.format(then="print('no pickle', flush=True)"),
]


@pytest.mark.usefixtures("three_cores")
@pytest.mark.parametrize("end", ENDS)
def test_what_a_process_that_fails_had_to_do_is_done_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lazy: Callable[[ParserPool], None], end: str
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!{sys.executable}\n{end}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(parser_pool.sys, "executable", str(worker))
    with ParserPool() as pool:
        lazy(pool)
        assert pool.map("parse", TEXTS) == ALONE
        assert pool._workers == []


def test_a_process_ends_when_its_loader_is_killed_while_it_sends_a_batch() -> None:
    command = [sys.executable, "-m", "dagster_models.project.loading.parser_process"]
    batch = pickle.dumps(("parse", TEXTS), protocol=5)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            process.communicate(batch[: len(batch) // 2], timeout=60)
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.usefixtures("three_cores")
def test_a_process_has_the_next_batch_before_it_has_answered_one(
    lazy: Callable[[ParserPool], None],
) -> None:
    with ParserPool() as pool:
        lazy(pool)
        assert pool.map("parse", TEXTS) == ALONE
        begun = pool.each("parse", TEXTS)
        next(begun)
        assert {len(batches) for batches in pool._sent.values()} == {2}
        begun.close()
        assert not pool._sent  # nobody would take their answers


@pytest.mark.usefixtures("three_cores")
def test_a_process_that_is_killed_between_two_jobs(lazy: Callable[[ParserPool], None]) -> None:
    with ParserPool() as pool:
        lazy(pool)
        pool.map("parse", TEXTS)
        pool._workers[0].kill()
        pool._workers[0].wait()
        assert pool.map("trace", QUERIES) == TRACED
        assert len(pool._workers) == 1


@pytest.mark.usefixtures("three_cores")
def test_work_that_is_given_up_midway_leaves_no_answers_behind(
    lazy: Callable[[ParserPool], None],
) -> None:
    with ParserPool() as pool:
        lazy(pool)
        begun = pool.each("parse", TEXTS)
        next(begun)
        next(begun)
        begun.close()
        assert pool.map("trace", QUERIES) == TRACED


@pytest.mark.usefixtures("three_cores")
def test_a_file_beside_the_project_is_not_a_module_of_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lazy: Callable[[ParserPool], None]
) -> None:
    (tmp_path / "sqlglot.py").write_text("raise RuntimeError('of the project')")
    monkeypatch.chdir(tmp_path)
    with ParserPool() as pool:
        lazy(pool)
        assert pool.map("parse", TEXTS) == ALONE
        assert len(pool._workers) == 2  # none has died


@pytest.mark.usefixtures("three_cores")
def test_a_project_is_the_same_on_all_cores(
    tmp_path: Path,
    lazy: Callable[[ParserPool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wide and deep: queries of one level at once, levels one after the other."""
    used: list[ParserPool] = []

    def made() -> ParserPool:
        used.append(ParserPool())
        lazy(used[0])
        return used[0]

    monkeypatch.setattr(sql_reader, "ParserPool", made)
    files = {"models/m0.sql": "select 1 as a, 'x' as b", "models/odd.sql": "select nope from m0"}
    for number in range(1, 60):
        above = f"m{max(0, number - 20)}"
        files[f"models/m{number}.sql"] = f"select a + {number} as a, b from {above}"
    files["dagster_models.yaml"] = f"{DEFAULT}unknown_columns: warn\n"
    root = write_project(tmp_path, files)
    found = load(root)
    assert len(used) == 1
    alone = load_plainly(root)
    assert found == alone
    assert list(found.steps) == list(alone.steps)
    assert [problem.path for problem in found.warnings] == ["models/odd.sql"]
    assert len(read_entries(root / "target" / TRACES_FILE)) == 61


LOADER = """
import sys
from dagster_models.definitions.loading import load_files
for _ in range(5):
    print(len(load_files(sys.argv[1]).steps), flush=True)
"""


@pytest.mark.slow
def test_two_loaders_at_once_and_one_that_is_killed(root: Path) -> None:
    for number in range(40):
        (root / f"models/m{number}.sql").write_text(f"select {number} as n from a")
    command = [sys.executable, "-c", LOADER, str(root)]
    loaders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert loaders[2].stdout is not None
    loaders[2].stdout.readline()
    loaders[2].send_signal(signal.SIGKILL)
    printed = [loader.communicate(timeout=60)[0].split() for loader in loaders]
    assert printed[:2] == [["44"] * 5] * 2
    assert len(read_entries(root / "target" / PARSED_FILE)) == 45
