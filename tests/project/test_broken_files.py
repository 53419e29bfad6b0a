"""A file that is wrong is wrong for itself: its step has the error, and all others are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.core.model import Key, Project
from dagster_models.errors import ProjectError
from project_cases import load, write_project

FILES = {
    "models/raw_orders.sql": "select 1 as id, 2 as total",
    "models/orders.sql": "select id, total from raw_orders",
    "models/report.sql": "select id from orders",
}


def broken(root: Path) -> dict[str, list[str]]:
    """The steps and sources that have errors -> these errors, each with its place."""
    project = load(root, environ={}, whole=None)
    items = [*project.steps.values(), *project.sources.values()]
    assert {it for item in items for it in item.problems} <= set(project.warnings)
    return {
        str(item.key): [f"{it.path}:{it.line}:{it.column}: {it.what}" for it in item.problems]
        for item in items
        if item.problems
    }


@pytest.mark.parametrize(
    ("path", "text", "place", "what"),
    [
        ("models/x.sql", "select from from", "models/x.sql:1:13", "cannot be read"),
        ("models/x.sql", "", "models/x.sql:1:1", "the file is empty"),
        ("models/x.sql", "/* @model\ntags: [\n*/ select 1 as a", "models/x.sql:", "YAML"),
        ("models/x.sql", "/* @model\nkey: 1\n*/ select 1 as a", "models/x.sql:2:1", "unknown key"),
        ("models/x.sql", "select $unset as a", "models/x.sql:1:8", "has no value"),
        ("models/x.sql", "select {{ a }} as a", "models/x.sql:1:8", "Jinja"),
        ("models/x.sql", "select nothing from orders", "models/x.sql:1:8", "no column"),
        ("models/x.sql", "/* @model materialized: kinds.k.K */ select 1 as a", "kinds/k.py", ""),
        ("models/x.py", "def model(:", "models/x.py:1:11", ""),
        ("models/x.py", "def sql(vars):\n    return 1 / 0", "models/x.py:2:", "division by zero"),
        ("models/x.py", "def other(): ...", "models/x.py:1:1", "needs `def model(warehouse)`"),
        ("seeds/x.csv", "id,id\n1,2", "seeds/x.csv:1:1", "two columns are named `id`"),
        ("scripts/x.py", '"""\n@model\nowner: [1\n"""', "scripts/x.py:", "YAML"),
        ("checks/x.sql", "selec 1", "checks/x.sql:1:7", "cannot be read"),
        ("models/x-y.sql", "select 1 as a", "models/x-y.sql:1:1", "cannot be a name"),
    ],
)
def test_only_the_step_of_the_file_has_the_error(
    tmp_path: Path, path: str, text: str, place: str, what: str
) -> None:
    root = write_project(tmp_path, {**FILES, "kinds/k.py": "class K(:", path: text})
    found = broken(root)
    (errors,) = found.values()
    (key,) = found
    assert key.split(".")[1] in ("x", "x_y")
    (error,) = errors
    assert error.startswith(place)
    assert what in error
    with pytest.raises(ProjectError):
        load(root, environ={})


def test_what_reads_it_is_right_and_its_columns_are_not_known(tmp_path: Path) -> None:
    files = {**FILES, "models/orders.sql": "select id, total frm raw_orders"}
    project = load(write_project(tmp_path, files), whole=None)
    report = project.steps[Key("main", "report")]
    assert report.upstream == (Key("main", "orders"),)
    assert not report.problems
    assert [column.sources for column in report.trace.columns] == [((("main", "orders"), "id"),)]


def test_strict(tmp_path: Path) -> None:
    files = {**FILES, "models/orders.sql": "selec", "dagster_models.yaml": "name: p\nload: strict"}
    root = write_project(tmp_path, files)
    with pytest.raises(ProjectError, match=r"models/orders.sql:1:1"):
        load(root, whole=None)


def test_an_error_of_the_project_file_is_one_of_all(tmp_path: Path) -> None:
    root = write_project(tmp_path, {**FILES, "dagster_models.yaml": "name: p\nkye: 1"})
    with pytest.raises(ProjectError, match="unknown key `kye`"):
        load(root, whole=None)


def test_the_members_of_a_cycle(tmp_path: Path) -> None:
    files = {
        **FILES,
        "models/a.sql": "select id from c join orders using (id)",
        "models/b.sql": "select id from a",
        "models/c.sql": "select id from b",
        "models/below.sql": "select id from c",
    }
    root = write_project(tmp_path, files)
    found = broken(root)
    assert set(found) == {"main.a", "main.b", "main.c"}
    assert {"a cycle: main.a -> main.c -> main.b -> main.a" in it[0] for it in found.values()} == {
        True
    }
    steps = load(root, whole=None).steps
    assert steps[Key("main", "a")].upstream == (Key("main", "orders"),)
    assert steps[Key("main", "below")].upstream == (Key("main", "c"),)


def test_two_files_of_one_name_and_two_of_one_table(tmp_path: Path) -> None:
    files = {
        **FILES,
        "models/marts/a/x.sql": "select 1 as id",
        "models/marts/b/x.sql": "select 2 as id",
        "models/Same.sql": "select 1 as id",
        "models/same.sql": "select 1 as id",
        "models/one.sql": "/* @model alias: t */ select 1 as id",
        "models/two.sql": "/* @model alias: t */ select 1 as id",
    }
    found = broken(write_project(tmp_path, files))
    assert set(found) == {"marts.x", "main.Same", "main.one", "main.two"}
    assert "`marts.x` is defined twice, first in models/marts/a/x.sql" in found["marts.x"][0]
    assert found["main.one"] == found["main.two"]


SOURCES = """
sources:
  - name: raw
    tables:
      - name: good
      - name: bad
        identifier: [1]
"""


def test_a_source(tmp_path: Path) -> None:
    files = {
        "models/sources.yaml": SOURCES,
        "models/a.sql": "select id from raw.good",
        "models/b.sql": "select id from raw.bad",
    }
    assert broken(write_project(tmp_path, files)) == {
        "raw.bad": ["models/sources.yaml:7:21: `identifier`: expected text, got a list"]
    }


def test_a_check_is_of_the_model_that_must_pass_it(tmp_path: Path) -> None:
    files = {
        **FILES,
        "checks/by_name.sql": "/* @check model: orders */ selec 1",
        "checks/by_text.sql": "select id from report where",
        "checks/code.py": '"""\n@check\nmodel: raw_orders\n"""\ndef chek(warehouse): ...\n',
        "checks/of_kind.sql": "/* @check\narguments: {column: column}\n*/ selec",
    }
    found = broken(write_project(tmp_path, files))
    assert {key: it[0].partition(":")[0] for key, it in found.items()} == {
        "main.orders": "checks/by_name.sql",
        "main.raw_orders": "checks/code.py",
        "main.report": "checks/by_text.sql",
        "checks.of_kind": "checks/of_kind.sql",
    }


def test_an_ephemeral_model_is_a_step_that_fails(tmp_path: Path) -> None:
    header = "/* @model materialized: ephemeral */ "
    files = {
        **FILES,
        "models/deep.sql": f"{header}select id from raw_orders where",
        "models/kept.sql": f"{header}select id from deep",
        "models/orders.sql": "select id, 2 as total from kept",
    }
    root = write_project(tmp_path, files)
    assert set(broken(root)) == {"main.deep"}
    project = load(root, whole=None)
    assert project.steps[Key("main", "orders")].upstream == (Key("main", "deep"),)
    assert set(project.ephemerals) == {Key("main", "kept")}


@pytest.mark.parametrize(
    ("header", "relation"),
    [
        ("tags: [", "main.x"),
        ("alias: other\ntags: [", None),
        ("alias: other\nkey: 1", "main.other"),
    ],
)
def test_the_table_of_a_broken_file_is_known_or_nobody_reads_it(
    tmp_path: Path, header: str, relation: str | None
) -> None:
    files = {"models/x.sql": f"/* @model\n{header}\n*/ select 1 as id", "models/y.sql": "from x"}
    project: Project = load(write_project(tmp_path, files), whole=None)
    found = project.steps[Key("main", "x")].relation
    assert (str(found) if found else None) == relation


def test_a_partitioned_model_keeps_its_partitions(tmp_path: Path) -> None:
    settings = "name: p\npartitions: {daily: {every: day, start: 2024-01-01}}\n"
    header = "/* @model\nmaterialized: incremental\npartitions: {of: daily, by: day}\n*/ "
    files = {
        "dagster_models.yaml": settings,
        "models/x.sql": f"{header}select day from raw.days where",
        "models/y.sql": f"{header}select day from x",
        "models/z.sql": f"{header.replace(', by: day', '')}select day from raw.days where",
    }
    root = write_project(tmp_path, files)
    found = broken(root)
    assert {key: len(errors) for key, errors in found.items()} == {"main.x": 1, "main.z": 1}
    steps = load(root, whole=None).steps.values()
    assert [step.partitions and step.partitions.of.name for step in steps] == ["daily"] * 3
