"""Copies: what their headers must say, what they depend on, and the SQL that is sent elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.cli.main import main as cli
from dagster_models.compilation.repeatable import repeatable
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.changes import Changes
from dagster_models.core.copied import Copied
from dagster_models.core.materializations import Incremental, Replace
from dagster_models.core.model import Key, Project
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import PythonTask, sent_sql, task_from_json, task_to_json
from dagster_models.errors import ProjectError
from dagster_models.project.targets import usable_target
from project_cases import make

YAML = """name: p
target: dev
vars: {first: 2024-01-01}
targets:
  dev: {type: duckdb, path: w.duckdb}
  pg: {type: postgres, dsn: "postgresql://h/d"}
"""


def project_of(root: Path, header: str, text: str = "select * from raw.orders") -> Project:
    files = {
        "dagster_models.yaml": YAML,
        "models/raw/orders.sql": f"/* @model\nmaterialized: copy\n{header}\n*/\n{text}",
        "models/marts/m.sql": "select * from raw.orders",
    }
    return make(root, files)


def task_of(project: Project) -> PythonTask:
    step, target = project.steps[Key("raw", "orders")], usable_target(project)
    task = task_for(TargetStep(project, step, target), "r", 1)
    assert isinstance(task, PythonTask)
    assert task_from_json(task_to_json(task)) == task
    return task


def copied_of(project: Project) -> Copied:
    copied = task_of(project).copied
    assert copied is not None
    return copied


WRONG = {
    "": "a copy needs the target that it copies from",
    "from: prod": "`from`: there is no target `prod`",
    "from: pg\nstrategy: append": "without `since` and `unique_key` each build copies all rows",
    "from: pg\nsince: {column: at, lookback: 1d}": "without a unique_key they would be doubled",
    "from: pg\nstrategy: merge\nsince: at": "the strategy merge needs a unique_key",
    "from: pg\nstrategy: replace": "`replace` is no strategy of `materialized: copy`",
}


@pytest.mark.parametrize("header", WRONG)
def test_mistakes(tmp_path: Path, header: str) -> None:
    with pytest.raises(ProjectError) as raised:
        project_of(tmp_path, header)
    (found,) = raised.value.problems
    assert WRONG[header] in found.what
    assert found.path == "models/raw/orders.sql"
    assert found.line > 1


def test_since_in_the_text_is_refused(tmp_path: Path) -> None:
    text = "select * from raw.orders where at > $since"
    with pytest.raises(ProjectError, match="a copy with `since:` restricts its query by itself"):
        project_of(tmp_path, "from: pg\nsince: at", text)


def test_from_says_nothing_of_other_kinds(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": YAML + "models: {from: pg}\n",
        "models/s/t.sql": "/* @model\nmaterialized: table\nfrom: pg\n*/\nselect 1 as n",
        "models/s/u.sql": "select 1 as n",
    }
    project = make(tmp_path, files)
    (warning,) = project.warnings
    assert "`from` has no effect on `materialized: table`" in warning.what
    assert {step.config.from_target for step in project.steps.values()} == {""}


def test_its_names_are_those_of_the_other_warehouse(tmp_path: Path) -> None:
    """Also one that is its own, and SQL that only that warehouse reads."""
    text = "select $first::date as d, '{}'::jsonb #- '{a}' as j, point '(1,2)' from raw.orders;"
    project = project_of(tmp_path, "from: pg", text)
    assert project.warnings == ()
    step = project.steps[Key("raw", "orders")]
    assert step.upstream == ()
    assert project.steps[Key("marts", "m")].upstream == (Key("raw", "orders"),)
    copied = copied_of(project)
    assert copied.target == "pg"
    assert copied.address["settings"]["dsn"] == "postgresql://h/d"
    sent = "select CAST('2024-01-01' AS DATE)::date as d, '{}'::jsonb #- '{a}' as j, point '(1,2)'"
    assert copied.sql.partition("*/\n")[2] == f"{sent} from raw.orders"
    assert copied.increment == ""
    assert isinstance(task_of(project).materialization, Replace)
    # Whether the rows there are still the same is not known.
    plain = project_of(tmp_path, "from: pg")
    why = repeatable(plain, plain.steps[step.key]).why_not
    assert why == "it is a copy, of which this is not known"


@pytest.mark.parametrize(
    ("header", "strategy", "increment"),
    [
        ("since: at", "append", f'"at" > {SINCE}'),
        ("since: at\nunique_key: id", "merge", f'"at" >= {SINCE}'),
        ("since: {column: At, begin: 2024-01-01}", "append", ""),
        ("unique_key: id", "merge", ""),
    ],
)
def test_rows_past_the_cursor(tmp_path: Path, header: str, strategy: str, increment: str) -> None:
    project = project_of(tmp_path, f"from: pg\n{header}")
    how, copied = task_of(project).materialization, copied_of(project)
    assert isinstance(how, Incremental)
    assert how.strategy == strategy
    if "begin" in header:
        assert copied.sql.endswith(""") AS copied WHERE "at" >= CAST('2024-01-01' AS DATE)""")
        increment = f'"at" > {SINCE}'
    else:
        assert copied.sql.endswith("select * from raw.orders")
    expected = f"\n) AS copied WHERE {increment}" if increment else ""
    assert copied.increment[len(copied.increment) - len(expected) :] == expected


def test_another_target_is_another_code_version(tmp_path: Path) -> None:
    files = YAML + "  other: {type: postgres, dsn: 'postgresql://h/e'}\n"
    versions = set()
    for target in ("pg", "other"):
        header = f"/* @model\nmaterialized: copy\nfrom: {target}\n*/\nselect 1 as n"
        made = make(tmp_path, {"dagster_models.yaml": files, "models/s/t.sql": header})
        versions.add(made.steps[Key("s", "t")].code_version)
    assert len(versions) == 2


def test_what_is_shown_is_what_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `compile`, and beside a result: with the value of the cursor, or all rows."""
    project = project_of(tmp_path, "from: pg\nsince: at")
    task = task_of(project)
    delta, whole = (Changes(kind, "DATE '2024-01-02'", 1, 0, 0) for kind in ("delta", "whole"))
    ends = {None: '"at" > $since', delta: """"at" > DATE '2024-01-02'""", whole: "raw.orders"}
    for changes, end in ends.items():
        assert sent_sql(task, changes).endswith(end)
    for arguments, end in (([], '"at" > $since'), (["--full"], "raw.orders")):
        assert cli(["--project", str(tmp_path), "compile", "raw.orders", *arguments]) == 0
        assert capsys.readouterr().out.rstrip().endswith(end)
