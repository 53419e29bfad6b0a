"""Loading a project folder: files, generated SQL, code versions, and any graph of models."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_models import project
from dagster_models.compilation.sql_text import (
    compile_step,
)
from dagster_models.core.jobs import Job
from dagster_models.core.model import Key
from dagster_models.project.targets import usable_target
from project_cases import load, make, upstream, write_project

A = {"models/staging/a.sql": "select 1 as x"}


def version(root: Path, files: Mapping[str, str], key: str = "main.a") -> str:
    """The code version of one step in a project made anew."""
    shutil.rmtree(root, ignore_errors=True)
    schema, name = key.split(".")
    return make(root, files).steps[Key(schema, name)].code_version


# --- files -----------------------------------------------------------------------------------


def test_folders_and_files_that_are_ignored(tmp_path: Path) -> None:
    bad = "not sql"
    files = {
        **A,
        "models/.hidden/b.sql": bad,
        "models/.b.sql": bad,
        "models/staging/__pycache__/b.py": bad,
        "models/.ipynb_checkpoints/b-checkpoint.py": bad,
        "models/notes.md": bad,
        "scripts/__init__.py": "",
        "scripts/_shared.py": bad,
    }
    assert list(make(tmp_path, files).steps) == [Key("staging", "a")]


def test_links_are_followed_but_not_in_cycles(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", A)
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir()
    (elsewhere / "b.sql").write_text("select * from a")
    (root / "models" / "shared").symlink_to(elsewhere)
    (root / "models" / "staging" / "again").symlink_to(root / "models")
    (root / "models" / "self").symlink_to(root / "models" / "self")
    assert list(load(root).steps) == [Key("staging", "a"), Key("shared", "b")]


def test_bytes_of_the_file_survive(tmp_path: Path) -> None:
    root = write_project(tmp_path, A)
    text = '-- é 😀\r\nselect "ä".x, $$a$$ as q\r\nfrom staging.a as "ä"\r\n'
    (root / "models/m.sql").write_bytes(b"\xef\xbb\xbf" + text.encode())
    project = load(root)
    compiled = compile_step(project, project.steps[Key("main", "m")], usable_target(project))
    assert compiled == text.replace("staging.a", '"staging"."a"')


def test_a_project_of_one_line(tmp_path: Path) -> None:
    project = make(tmp_path, A)
    assert project.jobs == (Job("p", implied=True),)
    assert usable_target(project).settings == {"path": str(tmp_path / "target" / "p.duckdb")}
    assert dict(project.targets) == {"dev": usable_target(project)}
    assert project.root == str(tmp_path)


def test_the_folder_may_be_named_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path / "p", A)
    monkeypatch.chdir(tmp_path)
    assert load("p") == load(tmp_path / "p")


# --- def sql(vars) ---------------------------------------------------------------------------


def test_generated_sql_sees_helpers_as_they_are_now(tmp_path: Path) -> None:
    code = "import words\nwords.SEEN.append(1)\ndef sql(vars):\n    return words.query(vars)\n"
    helper = "SEEN = []\ndef query(vars):\n    vars['n'] += 1\n    return f'select {vars} as x'"
    helper = helper.replace("{vars}", '{vars["n"]}')
    files = {
        "dagster_models.yaml": "name: p\nvars: {n: 1}\n",
        "models/a.py": code,
        "words.py": helper,
    }
    step = make(tmp_path, files).steps[Key("main", "a")]
    assert (step.kind, step.sql, step.variables) == ("sql", "select 2 as x", {"n": 1})
    changed = {**files, "words.py": helper.replace("select", "select 40 +")}
    # Python compares the time of a cached .pyc in whole seconds.
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert make(tmp_path, changed).steps[Key("main", "a")].sql == "select 40 + 2 as x"


def test_the_load_runs_no_user_code_itself(tmp_path: Path) -> None:
    """Whoever loads a project decides where `def sql(vars)` runs."""
    code = "raise SystemExit('run')\ndef sql(vars): ...\n"
    root = write_project(
        tmp_path, {"models/a.py": code, "dagster_models.yaml": "name: p\nvars: {n: 7}"}
    )
    asked: list[tuple[object, ...]] = []

    def run(*arguments: object) -> str:
        asked.append(arguments)
        return "select $n as x"

    (step,) = load(root, run_sql_function=run).steps.values()
    assert asked == [(code, str(root / "models/a.py"), str(root), {"n": 7})]
    assert (step.sql, step.sql_line) == ("select $n as x", 2)
    for path in Path(project.__file__).parent.rglob("*.py"):
        called = (n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        names = {node.id for node in called if isinstance(node, ast.Name)}
        assert not names & {"exec", "eval", "compile", "__import__", "import_module"}, path


# --- code version ----------------------------------------------------------------------------


def test_the_version_of_sql_is_what_it_means(tmp_path: Path) -> None:
    yaml = "name: p\nvars: {n: 1, other: 2}\n"
    base = {"dagster_models.yaml": yaml, "models/a.sql": "select $n as x"}
    first = version(tmp_path, base)
    assert len(first) == 16
    same = [
        {"models/a.sql": "/* @model\ndescription: new\ntags: [x]\n*/\nSELECT  $n -- why\nAS x\n"},
        {"dagster_models.yaml": yaml.replace("other: 2", "other: 3")},
        {"dagster_models.yaml": yaml + "fail_fast: true\n", "models/b.sql": "select 2 as y"},
    ]
    other = [
        {"models/a.sql": "select $n + 1 as x"},
        {"models/a.sql": "select $n as X"},  # a reader's to_json(a) has that name
        {"models/a.sql": "/* @model materialized: table */ select $n as x"},
        {"models/a.sql": "/* @model alias: c */ select $n as x"},
        {"dagster_models.yaml": yaml.replace("n: 1", "n: 2")},
    ]
    assert {version(tmp_path, {**base, **files}) for files in same} == {first}
    versions = [version(tmp_path, {**base, **files}) for files in other]
    assert len({first, *versions}) == 6


def test_the_version_of_python_is_its_code_and_what_it_imports(tmp_path: Path) -> None:
    code = '"""Docs."""\nfrom lib import deep\n\ndef model(warehouse):\n    return deep.rows()\n'
    base = {
        "models/a.py": code,
        "lib/__init__.py": "",
        "lib/deep.py": "import other\ndef rows(): return [{'x': other.X}]",
        "other.py": "X = 1",
        "unrelated.py": "Y = 1",
    }
    first = version(tmp_path, base)
    comments = code.replace('"""Docs."""', '"""New docs."""\n# and a comment')
    same = [{"models/a.py": comments}, {"unrelated.py": "Y = 2"}, {"other.py": "X  =  1  # one"}]
    other = [
        {"models/a.py": code.replace("deep.rows()", "deep.rows()[:1]")},
        {"other.py": "X = 2"},
        {"lib/__init__.py": "Z = 1"},
    ]
    assert {version(tmp_path, {**base, **files}) for files in same} == {first}
    assert len({first, *(version(tmp_path, {**base, **files}) for files in other)}) == 4


def test_the_version_of_a_seed_is_its_bytes(tmp_path: Path) -> None:
    base = {**A, "seeds/a.csv": "x\n1\n"}
    first = version(tmp_path, base, "seeds.a")
    assert version(tmp_path, base, "seeds.a") == first
    typed = {"dagster_models.yaml": "name: p\nseeds: {a: {column_types: {x: varchar}}}\n"}
    assert version(tmp_path, {**base, **typed}, "seeds.a") != first
    assert version(tmp_path, {**base, "seeds/a.csv": "x\n1\n\n"}, "seeds.a") != first


# --- any project -----------------------------------------------------------------------------


@st.composite
def drawn(draw: st.DrawFn) -> dict[str, tuple[str, list[str]]]:
    """Name -> its folder, and the names that it reads, without a cycle."""
    names = draw(st.permutations([f"m{i}" for i in range(draw(st.integers(1, 7)))]))
    return {
        name: (
            draw(st.sampled_from(["a", "b/deep", "zz"])),
            draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [],
        )
        for i, name in enumerate(names)
    }


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn(), st.randoms(use_true_random=False))
def test_any_graph_of_files_comes_back_as_it_was(
    tmp_path: Path, graph: dict[str, tuple[str, list[str]]], random: Random
) -> None:
    root = tmp_path / "p"
    shutil.rmtree(root, ignore_errors=True)
    key = {name: f"{folder.split('/')[0]}.{name}" for name, (folder, _) in graph.items()}
    files = {}
    for name, (folder, reads) in graph.items():
        tables = [random.choice([read, key[read]]) for read in reads]
        text = f"select 1 from {', '.join(tables)}" if tables else "select 1"
        files[f"models/{folder}/{name}.sql"] = text
    project = make(root, files)
    assert {str(k) for k in project.steps} == set(key.values())
    for name, (_, reads) in graph.items():
        assert upstream(project, key[name]) == [key[read] for read in reads]
    built: set[str] = set()
    for k, step in project.steps.items():
        assert {str(read) for read in step.upstream} <= built
        built.add(str(k))
    assert list(load(root).steps) == list(project.steps)


def test_a_python_model_is_a_table_and_a_sql_model_a_view_by_default(tmp_path: Path) -> None:
    code = "def model(warehouse):\n    return []\n"
    project = make(tmp_path, {"models/a.sql": "select 1 as x", "models/b.py": code})
    kinds = {key.name: step.config.materialized for key, step in project.steps.items()}
    assert kinds == {"a": "view", "b": "table"}


def test_tables_that_are_only_known_at_run_time_are_a_warning(tmp_path: Path) -> None:
    unseen = "from query_table(getvariable('t'))"
    header = "/* @model\nupstream: [b]\n*/ "
    python = f'def model(warehouse):\n    return warehouse.sql("{unseen}")\n'
    files = {"dagster_models.yaml": "name: p\n", "models/b.sql": "select 1 as x"}
    seen = {**files, "models/a.sql": "from query_table('b')"}
    assert upstream(make(tmp_path / "0", seen), "main.a") == ["main.b"]
    assert make(tmp_path / "1", {**files, "models/a.sql": header + unseen}).warnings == ()
    for number, changed in enumerate([{"models/a.sql": unseen}, {"models/a.py": python}]):
        [warning] = make(tmp_path / f"case{number}", {**files, **changed}).warnings
        assert "cannot be determined: query_table(...)" in warning.what
        assert "upstream:" in warning.fix


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_it('b')",
        "select * from read_it('main', 'b', 1)",
        "select * from s.read_it(main.b)",
        "select * from c, lateral read_it(c.x, name => 'main.b')",
    ],
)
def test_a_function_that_is_given_the_name_of_a_model_is_a_warning(
    tmp_path: Path, query: str
) -> None:
    """Nobody knows whether it reads it, so the user is asked to say so."""
    files = {
        "dagster_models.yaml": "name: p\n",
        "models/b.sql": "select 1 as x",
        "models/c.sql": "select 1 as x",
    }
    project = make(tmp_path / "1", {**files, "models/a.sql": query})
    [warning] = project.warnings
    assert "`read_it(...)` may read main.b" in warning.what
    assert "upstream: main.b" in warning.fix
    header = "/* @model upstream: main.b */ "
    declared = make(tmp_path / "2", {**files, "models/a.sql": header + query})
    assert declared.warnings == ()
    python = f'def model(warehouse):\n    return warehouse.sql("{query}")\n'
    assert len(make(tmp_path / "3", {**files, "models/a.py": python}).warnings) == 1


@pytest.mark.parametrize(
    ("dialect", "query", "function"),
    [
        ("postgres", "select pg_relation_size('b') as size", "pg_relation_size"),
        ("postgres", "select pg_total_relation_size('main.b')", "pg_total_relation_size"),
        ("postgres", "select 'main.b'::regclass::oid as id", "regclass"),
        ("postgres", "select count(*) from c where x = 'b'::regclass::oid", "regclass"),
        ("postgres", "select CAST('b' AS REGCLASS) as id", "regclass"),
        ("postgres", "select * from c where to_regclass('main.b') is not null", "to_regclass"),
        ("clickhouse", "select dictGet('b', 'x', x) as y from c", "dictGet"),
        ("clickhouse", "select dictGetOrDefault('main.b', 'x', x, 0) as y from c", "dictGet"),
        ("duckdb", "select rows_of('main.b') as n", "rows_of"),
        ("snowflake", "select get_ddl('table', 'main.b') as text", "get_ddl"),
    ],
)
def test_a_function_of_one_value_that_is_given_the_name_of_a_model_is_a_warning(
    tmp_path: Path, dialect: str, query: str, function: str
) -> None:
    files = {"models/b.sql": "select 1 as x", "models/c.sql": "select 1 as x"}
    settings = {"dagster_models.yaml": f"name: p\ndialect: {dialect}\n", **files}
    [warning] = make(tmp_path / "1", {**settings, "models/a.sql": query}).warnings
    assert f"`{function}" in warning.what
    assert "may read main.b, on which main.a does not depend" in warning.what
    header = "/* @model upstream: main.b */ "
    assert make(tmp_path / "2", {**settings, "models/a.sql": header + query}).warnings == ()


@pytest.mark.parametrize(
    "query",
    [
        "select to_json_text('select') as x, starts('from b') as y from b",
        "select * from read_it('other', b.x) join b on true",  # a column, and a name of nobody
        "select * from b, lateral read_it(b.b)",
        "select f('c') as x from b",
        "select * from postgres_query('c', 'select * from c')",
        "select * from read_csv('b.csv')",
    ],
)
def test_what_a_function_is_given_is_mostly_no_table(tmp_path: Path, query: str) -> None:
    files = {
        "models/a.sql": query,
        "models/b.sql": "select 1 as b",
        "models/c.sql": "select 1 as x",
    }
    project = make(tmp_path, {"dagster_models.yaml": "name: p\n", **files})
    assert [w for w in project.warnings if "may read" in w.what or "determined" in w.what] == []


@pytest.mark.parametrize(
    "query",
    [
        "select * from crosstab('select a, b, c from b') as t (x int)",
        "select query_to_xml('select * from b', true, true, '') as document",
    ],
)
def test_a_query_in_a_text_that_a_function_is_given_is_a_warning(
    tmp_path: Path, query: str
) -> None:
    files = {"models/a.sql": query}
    function = "query_to_xml" if "query_to_xml" in query else "crosstab"
    project = make(tmp_path, {"dagster_models.yaml": "name: p\ndialect: postgres\n", **files})
    assert f"cannot be determined: {function}(...)" in project.warnings[0].what
