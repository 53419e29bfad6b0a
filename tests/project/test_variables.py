"""Variables: their types, the order of the places that set them, and errors with their place."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.model import Key, Project
from dagster_models.errors import ProjectError
from dagster_models.execution.run_variables import VARS_TAG, given_variables, in_projects
from dagster_models.project.targets import usable_target
from dagster_models.project.variables import GivenText, type_of, typed
from dagster_models.util.environment import filled
from project_cases import load, write_project


def project_of(
    root: Path, variables: str, header: str = "", given: str = "", **environ: str
) -> Project:
    files = {
        "dagster_models.yaml": f"name: p\nvars:\n{variables}",
        "models/m/a.sql": f"/* @model\n{header}\n*/\nselect $x as x"
        if header
        else "select $x as x",
        "models/m/b.sql": "select $x as x",
    }
    text = GivenText(given, "--vars") if given else None
    return load(write_project(root, files), environ=environ, given=text)


def sent(project: Project, name: str = "a") -> str:
    step = project.steps[Key("m", name)]
    return compile_step(project, step, usable_target(project)).rpartition("select ")[2]


def problems(root: Path, *arguments: str, **environ: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        project_of(root, *arguments, **environ)
    return [str(it).replace("\n    ", " ") for it in caught.value.problems]


ONE = "  x: {type: integer, default: 1, env: THE_X}\n"
OWN = "vars: {x: 2}"


@pytest.mark.parametrize(
    ("header", "environ", "given", "expected"),
    [
        ("", {}, "", "1 as x"),
        (OWN, {}, "", "2 as x"),
        (OWN, {"THE_X": "3"}, "", "3 as x"),
        (OWN, {"THE_X": "3"}, "{x: 4}", "4 as x"),
        ("", {}, '{"x": 5}', "5 as x"),
    ],
)
def test_each_place_goes_before_those_above_it(
    tmp_path: Path, header: str, environ: dict[str, str], given: str, expected: str
) -> None:
    assert sent(project_of(tmp_path, ONE, header, given, **environ)) == expected


@pytest.mark.parametrize(
    ("header", "environ", "expected"),
    [
        ("", {}, "[1] as x"),
        ("vars: {x: [2, 3]}", {}, "[2, 3] as x"),
        ("", {"THE_X": "4, 5"}, "[4, 5] as x"),
        ("vars: {x: [2, 3]}", {"THE_X": "4"}, "[4] as x"),
    ],
)
def test_a_list_has_its_place_as_a_value_has(
    tmp_path: Path, header: str, environ: dict[str, str], expected: str
) -> None:
    declared = "  x: {type: [integer], default: [1], env: THE_X}\n"
    assert sent(project_of(tmp_path, declared, header, **environ)) == expected


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ("  x: 15\n", "{x: 20}", "20 as x"),
        ("  x: text\n", "{x: it's}", "'it''s' as x"),
        ("  x: {type: number, default: 1.5}\n", "{x: 2}", "2 as x"),
        ("  x: 2024-01-01\n", "{x: 2024-02-01}", "CAST('2024-02-01' AS DATE) as x"),
        ("  x: 2024-01-01\n", '{"x": "2024-02-01"}', "CAST('2024-02-01' AS DATE) as x"),
        ("  x: [1, 2]\n", "{x: [3]}", "[3] as x"),
        ("  x: {type: [text]}\n", "{x: []}", "[] as x"),
        ("  x:\n", "{x: anything}", "'anything' as x"),
    ],
)
def test_a_given_value_of_the_right_type(
    tmp_path: Path, declared: str, given: str, expected: str
) -> None:
    assert sent(project_of(tmp_path, declared, "", given)) == expected


@pytest.mark.parametrize(
    ("declared", "header", "given", "expected"),
    [
        (
            "  x: 15\n",
            "",
            "{x: a}",
            "--vars:1:5: error: the variable `x` is integer, and its value",
        ),
        ("  x: 15\n", "", "{x: 1.5}", "--vars:1:5: error: the variable `x` is integer, and its"),
        ("  x: [1]\n", "", "{x: [a]}", "--vars:1:5: error: the variable `x` is [integer], and its"),
        ("  x: true\n", "", "{x: 1}", "--vars:1:5: error: the variable `x` is boolean, and its"),
        ("  x: 2024-01-01\n", "", "{x: soon}", "--vars:1:5: error: the variable `x` is date, and"),
        (
            "  x: {type: integer, default: a}\n",
            "",
            "",
            "dagster_models.yaml:3:31: error: the variab",
        ),
        (
            "  x: {type: integer, default: 1}\n",
            "vars: {x: a}",
            "",
            "models/m/a.sql:2:11: error: the",
        ),
        (
            "  x: {type: whole}\n",
            "",
            "",
            "dagster_models.yaml:3:13: error: `type`: the text 'whole'",
        ),
        (
            "  x: {type: integer}\n",
            "",
            "",
            "dagster_models.yaml:3:3: error: the variable `x` has no",
        ),
        ("  x: 1\n", "", "{y: 1}", "--vars:1:5: error: there is no variable `y` Variables: x."),
        ("  x: 1\n", "", "x", "--vars:1:1: error: expected names and values"),
        (
            "  x: 1\n",
            "",
            "{x: {y: 1}}",
            "--vars:1:5: error: `x`: keys and values cannot be written",
        ),
        ("  y: 1\n", "", "", "models/m/a.sql:1:8: error: the variable `x` has no value"),
        (
            "  x: {env: X, secret: true, default: a}\n",
            "",
            "",
            "dagster_models.yaml:3:3: error: the",
        ),
    ],
)
def test_what_is_wrong_has_its_place(
    tmp_path: Path, declared: str, header: str, given: str, expected: str
) -> None:
    found = problems(tmp_path, declared, header, given)
    assert found[0].startswith(expected)
    assert len(found) <= 2, "each mistake is reported once for each file that makes it"


def test_a_bare_variable_in_a_schema_prefix(tmp_path: Path) -> None:
    settings = "name: p\ntargets: {dev: {type: duckdb, path: x.db, schema_prefix: dev_$USER_}}\n"
    files = {"dagster_models.yaml": settings, "models/a.sql": "select 1 as n"}
    with pytest.raises(ProjectError, match=r"2:58: .*`\$USER_` does not stand for") as caught:
        load(write_project(tmp_path, files), environ={"USER": "ann"})
    assert "Write `${USER}`." in str(caught.value)


def test_an_unset_variable_in_a_schema_prefix(tmp_path: Path) -> None:
    settings = "name: p\ntargets: {dev: {type: duckdb, path: x.db, schema_prefix: 'd_${WHO}_'}}\n"
    files = {"dagster_models.yaml": settings, "models/a.sql": "select 1 as n"}
    project = load(write_project(tmp_path, files), environ={})
    with pytest.raises(ProjectError, match="target `dev` needs the environment variable WHO"):
        usable_target(project)


@pytest.mark.parametrize(
    ("environ", "path", "threads"),
    [({}, "data/x.db", 4), ({"DB": "", "N": "8"}, "data/x.db", 8), ({"DB": "y.db"}, "y.db", 4)],
)
def test_a_default_counts_where_the_variable_is_not_set(
    tmp_path: Path, environ: dict[str, str], path: str, threads: int
) -> None:
    """Nor where it is empty, as in a shell. Nobody has to set it."""
    of_dev = "{type: duckdb, path: '${DB:-data/x.db}', threads: '${N:-4}'}"
    settings = f"name: p\ntargets: {{dev: {of_dev}}}\n"
    files = {"dagster_models.yaml": settings, "models/a.sql": "select 1 as n"}
    target = usable_target(load(write_project(tmp_path, files), environ=environ))
    assert (target.settings["path"], target.threads) == (str(tmp_path / path), threads)


def test_a_variable_that_is_set_to_nothing_names_no_folder(tmp_path: Path) -> None:
    """An empty path would be the project's own folder: as a database, or for the caches."""
    of_dev = "{type: duckdb, path: '${DB-x.db}', attach: {files: {files: '${DIR-y}'}}}"
    lake = "{type: ducklake, sqlite: '${META-m.sqlite}', data: '${DATA-lake}'}"
    settings = (
        f"name: p\ntarget: dev\ntargets: {{dev: {of_dev}, lake: {lake}}}\ntarget_path: ${{TO-to}}\n"
    )
    root = write_project(tmp_path, {"dagster_models.yaml": settings, "models/a.sql": "select 1"})
    assert load(root, environ={"TO": ""}).target_path == str(root / "target")
    with pytest.raises(ProjectError) as raised:
        load(root, environ={"DB": "", "DIR": "", "DATA": ""})
    assert [it.what for it in raised.value.problems] == [
        "target `dev` has an empty `path`",
        "`attach: files`: '' is not a path",
        "target `lake` has an empty `data`",
    ]


@pytest.mark.parametrize(
    ("text", "unset", "empty", "given"),
    [
        ("${X:-d}", "d", "d", "x"),
        ("${X-d}", "d", "", "x"),
        ("${X:-}", "", "", "x"),
        ("${X-}", "", "", "x"),
        ("${X--}", "-", "", "x"),
        ("${X-:-}", ":-", "", "x"),
        ("a${X-b}c${X}", "abc${X}", "ac", "axcx"),
        ("${X:d}", "${X:d}", "${X:d}", "${X:d}"),
    ],
)
def test_a_default_has_the_forms_of_a_shell(text: str, unset: str, empty: str, given: str) -> None:
    assert [filled(text, it) for it in ({}, {"X": ""}, {"X": "x"})] == [unset, empty, given]
    shell = text.replace("${X:d}", "'${X:d}'").replace("c${X}", "c${X-'${X}'}")
    for environ, expected in (({}, unset), ({"X": ""}, empty), ({"X": "x"}, given)):
        said = subprocess.run(["sh", "-c", f"printf %s {shell}"], env=environ, capture_output=True)
        assert said.stdout.decode() == expected


@pytest.mark.parametrize("mark", [":-", "-"])
def test_the_default_of_a_password_is_plain_text(tmp_path: Path, mark: str) -> None:
    password = f"${{PW{mark}s3cret}}"
    settings = f"name: p\ntargets: {{dev: {{type: postgres, host: h, password: '{password}'}}}}\n"
    files = {"dagster_models.yaml": settings, "models/a.sql": "select 1 as n"}
    with pytest.raises(ProjectError, match="`password` contains a password as plain text"):
        load(write_project(tmp_path, files), environ={})


@pytest.mark.parametrize("folder", ["a${X}", "a${X:-b}"])
def test_a_folder_that_looks_like_a_variable_is_refused(tmp_path: Path, folder: str) -> None:
    files = {"dagster_models.yaml": "name: p\n", "models/a.sql": "select 1 as n"}
    with pytest.raises(ProjectError, match="would take a part of the project's folder"):
        load(write_project(tmp_path / folder, files), environ={})


def test_an_environment_variable_of_another_type(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, ONE, THE_X="many")
    assert found.startswith(
        "dagster_models.yaml:3:3: error: the variable `x` is integer, and the environment variable"
        " THE_X holds 'many'"
    )


def test_a_value_changes_the_code_versions_of_what_uses_it(tmp_path: Path) -> None:
    plain, same, other = (
        {str(key): step.code_version for key, step in it.steps.items()}
        for it in (
            project_of(tmp_path, "  x: 1\n", OWN),
            project_of(tmp_path, "  x: {type: integer, default: 1}\n", OWN),
            project_of(tmp_path, "  x: 1\n", OWN, "{x: 2}"),
        )
    )
    assert plain == same, "a declaration changes nothing"
    assert (plain["m.a"], plain["m.b"]) == (other["m.a"], plain["m.b"])
    assert plain["m.b"] != other["m.b"]


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (1, "integer"),
        (1.5, "number"),
        ("a", "text"),
        (True, "boolean"),
        (dt.date(2024, 1, 1), "date"),
        (dt.datetime(2024, 1, 1, 2), "timestamp"),
        ([1, 2.5], "[number]"),
        (["a"], "[text]"),
        ([1, "a"], "[]"),
        ([], "[]"),
        (None, ""),
    ],
)
def test_types(value: Any, type_: str) -> None:
    assert type_of(value) == type_
    assert typed(value, type_) == value


SECRET = "  x: {type: text, env: KEY, secret: true}\n"


def test_a_secret_is_sent_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of(tmp_path, SECRET, KEY="hush'd")
    assert sent(project) == "'hush''d' as x"
    monkeypatch.setenv("KEY", "hush'd")
    assert main(["--project", str(tmp_path), "compile", "m.a"]) == 0
    assert "select '***' as x" in capsys.readouterr().out
    (found,) = problems(tmp_path, SECRET, "", "{x: a}", KEY="b")
    assert found.startswith("--vars:1:5: error: the variable `x` is a secret")


def test_commands_take_vars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project_of(tmp_path, "  x: 1\n")
    folder = ["--project", str(tmp_path)]
    assert main([*folder, "compile", "m.a", "--vars", "{x: 7}"]) == 0
    assert "select 7 as x" in capsys.readouterr().out
    assert main([*folder, "check", "--vars", "{x: a}"]) == 1
    assert "--vars:1:5: error: the variable `x` is integer" in capsys.readouterr().out


def test_what_a_run_is_given() -> None:
    config = {"execution": {"config": {"vars": {"x": 1}}}}
    assert given_variables({}, config) == GivenText('{"x": 1}', "run config: vars")
    tagged = given_variables({VARS_TAG: "{x: 2}"}, config)
    assert tagged == GivenText("{x: 2}", f"--vars (run tag {VARS_TAG})")
    assert given_variables({}, {}) is None


def test_a_run_cannot_change_what_a_step_reads(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": "name: p\nvars: {which: a}\n",
        "models/m/a.sql": "select 1 as n",
        "models/m/b.sql": "select 1 as n",
        "models/m/c.py": "def sql(vars):\n    return f'select n from m.{vars[\"which\"]}'\n",
    }
    before = load(write_project(tmp_path, files), environ={})
    after = load(tmp_path, environ={}, given=GivenText("{which: b}", "--vars"))
    target = usable_target(before)
    steps = {str(key): TargetStep(before, step, target) for key, step in before.steps.items()}
    with pytest.raises(ValueError, match=r"m\.c reads or checks something else"):
        in_projects(steps, {before.root: after})
    assert in_projects({"m.a": steps["m.a"]}, {before.root: after})["m.a"].project is after


def test_a_typed_variable_needs_no_environment_variable(tmp_path: Path) -> None:
    """Also in the real environment, which cannot be asked for None."""
    files = {
        "dagster_models.yaml": "name: p\nvars: {x: {type: integer, default: 1}}",
        "models/m/a.sql": "select $x as x",
    }
    assert sent(load(write_project(tmp_path, files))) == "1 as x"


@pytest.mark.parametrize(
    ("dialect", "written"),
    [
        *(("duckdb", "$since"), ("spark", ":since"), ("sqlite", ":since")),
        ("clickhouse", "/*$since*/"),
    ],
)
def test_a_message_names_a_placeholder_as_the_dialect_writes_it(
    tmp_path: Path, dialect: str, written: str
) -> None:
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}\n",
        "models/m/a.sql": "/* @model\nmaterialized: incremental\nsince: n\n*/\nselect 1 as n",
    }
    said = [it.fix for it in load(write_project(tmp_path, files)).warnings]
    assert f"Compare with it: `where n > {written}`." in said
