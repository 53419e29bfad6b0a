"""Loading with the parse cache and on all cores gives what loading without them gives."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project_cases import write_project

from dagster_models import loading
from dagster_models.core import compiled, project
from dagster_models.core.lineage import trace
from dagster_models.core.model import Key
from dagster_models.core.traced import Trace
from dagster_models.errors import ProjectError
from dagster_models.loading import CACHE_FILE, load, parse_all, read_cache, write_cache

FILES = {
    "dagster_models.yaml": "name: test\ntargets: {dev: {type: duckdb, path: t.duckdb}}\n",
    "models/a.sql": "select 1 as n",
    "models/b.sql": "with a as (select * from a) select a.n, $year as y from a",
    "models/c.sql": "select staging.b.n from staging.b -- a comment",
    "models/staging/b.sql": "select n from main.b",
    "checks/few.sql": "select * from a where n > 1",
}
CONFIG = "vars: {year: 2013}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (CONFIG if name.endswith(".yaml") else ""))
    return tmp_path


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As a new process: nothing is remembered but what the cache file holds."""

    def forget() -> None:
        monkeypatch.setattr(compiled, "_remembered", {})

    forget()
    return forget


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that had to be parsed, in the order in which they were."""
    texts: list[str] = []

    def parse(text: compiled.Text) -> bytes | None:
        texts.append(text[0])
        return real(text)

    real = loading.parse
    monkeypatch.setattr(loading, "parse", parse)
    return texts


def test_what_was_parsed_is_not_parsed_again(
    root: Path, parsed: list[str], forgetful: Callable[[], None]
) -> None:
    first = load(root)
    assert len(parsed) == 5
    forgetful()
    parsed.clear()
    second = load(root)
    assert parsed == []
    forgetful()
    assert second == first == project.load(root)


def test_one_changed_file_is_all_that_is_parsed(
    root: Path, parsed: list[str], forgetful: Callable[[], None]
) -> None:
    before = load(root)
    parsed.clear()
    forgetful()
    (root / "models/a.sql").write_text("select 2 as n")
    after = load(root)
    assert parsed == ["select 2 as n"]
    a = Key("main", "a")
    assert after.steps[a].code_version != before.steps[a].code_version
    assert len(read_cache(root / CACHE_FILE)) == 5  # the text that is gone is gone


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not a pickle",
        pickle.dumps(("another stamp", {})),
        pickle.dumps((loading.stamp(), {"key": 1})),
        pickle.dumps(([loading.stamp()], None)),
    ],
)
def test_a_damaged_or_foreign_cache_is_none(
    root: Path, damage: bytes, forgetful: Callable[[], None]
) -> None:
    good = load(root)
    (root / CACHE_FILE).write_bytes(damage)
    forgetful()
    assert load(root) == good
    assert len(read_cache(root / CACHE_FILE)) == 5


def test_an_entry_that_is_cut_is_parsed_anew(
    root: Path, parsed: list[str], forgetful: Callable[[], None]
) -> None:
    good = load(root)
    entries = {key: entry[:-5] for key, entry in read_cache(root / CACHE_FILE).items()}
    write_cache(root / CACHE_FILE, entries)
    parsed.clear()
    forgetful()
    assert load(root) == good
    assert len(parsed) == 5


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("harm",))


def test_a_cache_cannot_run_code(
    root: Path, monkeypatch: pytest.MonkeyPatch, forgetful: Callable[[], None]
) -> None:
    monkeypatch.chdir(root)
    good = load(root)
    (root / CACHE_FILE).write_bytes(pickle.dumps((loading.stamp(), {"key": Harmful()})))
    forgetful()
    assert load(root) == good
    harmful = dict.fromkeys(read_cache(root / CACHE_FILE), pickle.dumps(Harmful()))
    write_cache(root / CACHE_FILE, harmful)
    forgetful()
    assert load(root) == good
    assert not (root / "harm").exists()


def test_code_that_reads_sql_otherwise_has_another_stamp(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(root)
    assert len(read_cache(root / CACHE_FILE)) == 5
    loading.stamp.cache_clear()
    monkeypatch.setattr(loading, "version", lambda name: "99.0")
    try:
        assert read_cache(root / CACHE_FILE) == {}
    finally:
        loading.stamp.cache_clear()


def test_a_folder_that_cannot_be_written_is_only_slower(root: Path) -> None:
    (root / "target").write_text("a file, no folder")
    assert len(load(root).steps) == 4


def test_a_text_that_does_not_parse_is_told_as_ever(root: Path) -> None:
    (root / "models/a.sql").write_text("select (1")
    for _ in range(2):
        with pytest.raises(ProjectError, match=r"models/a\.sql:1:"):
            load(root)


def test_all_cores_give_the_same_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [(f"select {i} as n from t{i % 7}", "duckdb", True) for i in range(30)]
    texts[17] = ("select from from", "duckdb", True)
    alone = parse_all(texts)
    assert alone[17] is None
    monkeypatch.setattr(loading, "TEXTS_PER_PROCESS", 7)
    monkeypatch.setattr(loading, "_cores", lambda: 3)
    assert parse_all(texts) == alone


@pytest.mark.parametrize("end", ["import os; os._exit(3)", "import time; print('no pickle')"])
def test_a_parse_worker_that_fails_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str
) -> None:
    texts = [(f"select {i} as n", "duckdb", True) for i in range(20)]
    alone = parse_all(texts)
    worker = tmp_path / "worker"
    worker.write_text(f"#!{sys.executable}\n{end}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(loading, "TEXTS_PER_PROCESS", 5)
    monkeypatch.setattr(loading, "_cores", lambda: 2)
    monkeypatch.setattr(loading.sys, "executable", str(worker))
    assert parse_all(texts) == alone


LOADER = """
import sys
from dagster_models.loading import load
for _ in range(5):
    print(len(load(sys.argv[1]).steps), flush=True)
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
    told = [loader.communicate(timeout=60)[0].split() for loader in loaders]
    assert told[:2] == [["44"] * 5] * 2
    assert len(read_cache(root / CACHE_FILE)) == 45


# --- columns ---------------------------------------------------------------------------------


def traced(root: Path) -> dict[str, list[str]]:
    steps = load(root).steps
    return {str(key): [f"{c.name} {c.type}" for c in s.trace.columns] for key, s in steps.items()}


def test_traces_are_remembered_and_never_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "models/a.sql": "select 1 as x",
        "models/b.sql": "select * from a",
        "models/c.sql": "select x from b",
        "models/d.sql": "select 1 as y",
    }
    root = write_project(tmp_path, files)
    first = traced(root)
    made: list[str] = []

    def noted(text: str, dialect: str, upstream: Any) -> Trace:
        made.append(text)
        return trace(text, dialect, upstream)

    monkeypatch.setattr("dagster_models.loading.trace", noted)
    assert traced(root) == first
    assert made == []
    # A changed type upstream changes every reader's trace, and no other.
    (root / "models/a.sql").write_text("select 'a' as x")
    changed = traced(root)
    assert changed["main.c"] == ["x VARCHAR"]
    assert made == ["select 'a' as x", "select * from a", "select x from b"]
    (root / "target/traces.cache").write_bytes(b"damaged")
    assert traced(root) == changed
