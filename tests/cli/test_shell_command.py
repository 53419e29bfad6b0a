"""`dagster-models shell`: piped, and at a terminal."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest

from cli_cases import run
from commands import DAGSTER_MODELS
from dagster_models.cli.shell import HISTORY, statements
from dagster_models.cli.statements import split
from running import Project, make_project
from screen import in_terminal

FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [lines]}]",
    "models/marts/orders.sql": "select id, note from raw.lines",
    "models/marts/late.sql": "select id from orders",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A database in which `late` is not built."""
    project = make_project(tmp_path, FILES)
    with project.warehouse() as session:
        for schema in ("raw", "marts"):
            session.execute(f"create schema {schema}")
        session.execute("create table raw.lines as select 1 as id, 'x' as note")
        session.execute("create table marts.orders as from raw.lines")
    return project


def piped(project: Project, text: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return run(project.root, "shell", *options)


def test_it_reads_a_pipe(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "select id\n  from orders; select ';' as c; -- a comment;\n.schema ORDERS\n"
    text += ".tables\nselect 2"
    with project.warehouse():  # while a run has the file open
        assert piped(project, text, monkeypatch) == 0
    assert capsys.readouterr().out.splitlines() == [
        *("id", "--", "1", "(1 row)"),
        *("c", "-", ";", "(1 row)"),
        *("id    INTEGER", "note  VARCHAR"),
        "marts.orders  table",
        "marts.late    table   not there",
        "raw.lines     source",
        *("2", "-", "2", "(1 row)"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("delete from orders;", "the query, 1:1"),
        ("select * from (select 1; select 2;", "Parser Error"),
        (
            ".schema ordes",
            "`.schema ordes` names nothing that is known: did you mean marts.orders?",
        ),
        (".tabels", "`.tabels` is not a command; did you mean .tables?"),
    ],
)
def test_it_stops_at_an_error(
    text: str,
    message: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert piped(project, f"{text}\nselect 'after' as a;", monkeypatch) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert "after" not in said.out
    with project.warehouse() as session:
        assert session.query("select count(*) from marts.orders") == [(1,)]


def test_it_makes_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, FILES)
    assert piped(project, "select 1;", monkeypatch) == 1
    assert "has no database yet" in capsys.readouterr().err
    assert not project.database.exists()


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        ("select 1; select 2; -- ;\n", ["select 1", "select 2"], ""),
        ("select ';' as \";\" -- ;\n", [], "select ';' as \";\" -- ;\n"),
        ("select 'it''s;", [], "select 'it''s;"),
        (
            "/* ; \n ; */ select $$ ; $$, $a$ $$; $a$;",
            ["/* ; \n ; */ select $$ ; $$, $a$ $$; $a$"],
            "",
        ),
        (";/* */;\n", [], ""),
    ],
)
def test_where_statements_end(text: str, found: list[str], rest: str) -> None:
    assert split(text) == (found, rest)


def test_a_command_is_a_line_of_its_own() -> None:
    lines = ["select", ".5;", ".tables", "", "  .quit", "select 1"]
    assert list(statements(iter(lines))) == ["select\n.5", ".tables", ".quit", "select 1"]


@pytest.mark.slow
def test_at_a_terminal(project: Project) -> None:
    command = [DAGSTER_MODELS, "--project", str(project.root), "shell", "--limit", "3"]
    with in_terminal(command, dict(os.environ), str(project.root)) as (seen, process):

        def enter(keys: str, wanted: str) -> None:
            """Press keys at the prompt, and wait for what they lead to."""
            before = len(seen.text)
            seen.keys(keys)
            seen.wait_for(lambda: wanted in seen.text[before:])

        def interrupt() -> None:
            """Press Ctrl-C, and again every three seconds, until the prompt is back.

            Python shows its prompt a moment before it waits for keys, and a signal in between has
            its effect with the next one (`readline_until_enter_or_signal` in CPython's
            Modules/readline.c). A user presses the key again as well.
            """
            before, presses, started = len(seen.text), 0, time.monotonic()
            while "test> " not in seen.text[before:]:
                assert presses < 6, seen.text[-3000:]
                if time.monotonic() - started >= 3 * presses:
                    seen.keys("\x03")
                    presses += 1
                seen.read(0.05)

        seen.wait_for(lambda: "test> " in seen.text)
        enter("select id\n", "   ... ")
        enter("from orders;\n", "(1 row)\r\ntest> ")
        enter("select nope from orders;\n", "^\r\ntest> ")
        enter("select count(*) from range(100000000000000) t(i);\n", ";\r\n")
        interrupt()
        enter("select 'wrong\n", "   ... ")
        interrupt()
        enter("select i from range(5) t(i);\n", "(first 3 rows)\r\ntest> ")
        seen.keys(".quit\n")
        seen.wait_for(lambda: process.poll() is not None)
    assert process.returncode == 0
    history = (project.root / "target" / HISTORY).read_text()
    assert "from orders;" in history
