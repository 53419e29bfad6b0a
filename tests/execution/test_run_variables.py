"""Variables in the launchpad: what is sent, and what each place records."""

from __future__ import annotations

from pathlib import Path

from running import make_project


def test_a_run_with_variables(tmp_path: Path) -> None:
    header = "/* @model checks: [{not_null: {column: n}}, {row_count: {min: 1}}] */ "
    files = {"models/m/a.sql": header + "select $n as n"}
    project = make_project(tmp_path, files, "vars: {n: 1}\n")
    first = project.run({"vars": {"n": 2}})
    assert first.code == 0, first.stdout
    assert project.rows("select n from m.a") == [(2,)]
    assert first.results["args"]["vars"] == '{"n": 2}'
    assert first.journal is not None
    assert first.journal.header is not None
    assert first.journal.header.variables == '{"n": 2}'
    assert "select 2 as n" in first.results["results"][0]["compiled_code"]

    again = project.run({"vars": {"n": 2}, "only_changed": True})
    assert again.states() == {"m.a": "unchanged"}, "the code version has the value"
    other = project.run({"only_changed": True})
    assert other.states() == {"m.a": "succeeded"}
    assert project.rows("select n from m.a") == [(1,)]

    wrong = project.run({"vars": {"n": "many"}})
    assert wrong.code == 1
    assert "run config: vars:1:7: error: the variable `n` is integer" in wrong.stderr
    assert project.rows("select n from m.a") == [(1,)]
