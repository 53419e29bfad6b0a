"""docs/extras.md is true: each block of it is loaded, and built or compared with what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Project
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.extras import EXTRAS
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, session_of

PAGE = Page.of("extras.md")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(_, STATEMENTS), (_, INDEXES), (_, SENT), (_, COMMENTS), (_, GRANTS), (_, EXPORT) = BLOCKS

Asked = Callable[..., tuple[list[str], Any]]


@pytest.fixture
def built(tmp_path: Path) -> Asked:
    """Builds the model, and returns what was sent by ``change``, and the answer to a question."""

    def build(text: str, question: str) -> tuple[list[str], Any]:
        files = {
            "dagster_models.yaml": "name: p\nvars: {year: 2013}\n",
            "models/sources.yaml": "sources: [{name: log, tables: [builds]}]",
            "models/marts/carriers.sql": text,
        }
        project = load(write_project(tmp_path, files), environ={})
        assert project.warnings == ()
        ((_, step),) = project.steps.items()
        warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
        with session_of(warehouse) as session:
            session.prepare(["marts", "log"])
            session.execute("create table log.builds (model varchar, built_on date, n bigint)")
            sent: list[str] = []
            change = session.change  # type: ignore[attr-defined]

            def recorded(sql: str, lines_before: int = 0) -> int:
                sent.append(f"{sql};")
                return int(change(sql, lines_before))

            session.change = recorded  # type: ignore[attr-defined]
            task = task_for(TargetStep(project, step, usable_target(project)), "r", 1)
            assert isinstance(task, BuildTask)
            outcome = run(session, task, Stop())
            assert outcome.error is None, outcome.error
            answer = session.execute(question)
        warehouse.close()
        return sent, answer

    return build


def test_statements(built: Asked) -> None:
    _, answer = built(STATEMENTS, "select model, n from log.builds")
    assert answer == [("carriers", 1)]


def test_indexes(built: Asked) -> None:
    question = "select index_name from duckdb_indexes() where schema_name = 'marts'"
    sent, answer = built(INDEXES, question)
    assert len(answer) == 2
    assert ("by_year",) in answer
    digest = re.compile(r"(carriers_carrier_)\w{8}")
    shown = [digest.sub(r"\1", line) for line in SENT.splitlines()]
    assert shown == [digest.sub(r"\1", line) for line in sent[:2]]


def test_comments(built: Asked) -> None:
    question = "select comment from duckdb_tables() where schema_name = 'marts'"
    sent, answer = built(COMMENTS, question)
    assert sent == ["""COMMENT ON COLUMN "marts"."carriers"."carrier" IS 'its IATA code';"""]
    assert answer[0][0].startswith("One row per carrier.\n\n(built by dagster-models (p):")


def test_grants(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": "name: p\ntargets: {dev: {type: postgres, host: h}}\n" + GRANTS,
        "models/marts/carriers.sql": "select 1 as a",
    }
    project: Project = load(write_project(tmp_path, files), environ={})
    ((_, step),) = project.steps.items()
    assert step.config.grants == yaml.safe_load(GRANTS)["models"]["marts"]["grants"] | {
        "select": ("reporting", "analyst"),
        "insert": (),
    }


def test_export(built: Asked, tmp_path: Path) -> None:
    path = tmp_path / "exports" / "carriers"
    _, answer = built(EXPORT, f"select * from read_parquet('{path}/*/*.parquet')")
    assert answer == [("AA", 2013)]
    assert path.readlink().name == ".carriers.r.1"


def test_every_key_is_on_the_page() -> None:
    for key in EXTRAS:
        assert f"`{key.replace('-', '_')}" in PAGE or f"{key}:" in PAGE, key
