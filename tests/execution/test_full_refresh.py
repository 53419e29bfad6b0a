"""Which models a run builds in full: by its tag, its config, the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagster_models.compilation.tasks import TargetStep
from dagster_models.execution.options import FULL_REFRESH_TAG, on_run
from dagster_models.project.targets import usable_target
from project_cases import load, write_project

FILES = {
    "models/marts/a.sql": "select 1 as n",
    "models/marts/b.sql": "select 1 as n",
    "models/core/never.sql": "/* @model\nmaterialized: incremental\nfull_refresh: false\n"
    "unique_key: n\n*/\nselect 1 as n",
    "models/core/always.sql": "/* @model\nmaterialized: incremental\nfull_refresh: true\n"
    "unique_key: n\n*/\nselect 1 as n",
}


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, TargetStep]:
    project = load(write_project(tmp_path, FILES), environ={})
    target = usable_target(project)
    return {str(key): TargetStep(project, step, target) for key, step in project.steps.items()}


def in_full(steps: dict[str, TargetStep], tag: str | None = None, config: Any = None) -> set[str]:
    tags = {} if tag is None else {FULL_REFRESH_TAG: tag}
    run_config = {"execution": {"config": {"full_refresh": config}}}
    found = on_run(steps, tags, run_config)
    return {key for key, step in found.items() if step.is_built_in_full}


ALL = {"marts.a", "marts.b", "core.always"}
NONE = {"core.always"}


@pytest.mark.parametrize(
    ("tag", "config", "expected"),
    [
        (None, None, NONE),
        (None, False, NONE),
        (None, True, ALL),
        (None, "true", ALL),
        (None, ["marts.a"], {"marts.a", *NONE}),
        (None, ["b", "core.never"], {"marts.b", *NONE}),
        (None, "marts.a, b", ALL),
        ("true", None, ALL),
        ("TRUE", ["marts.a"], ALL),
        ("false", True, NONE),
        ("marts.a", None, {"marts.a", *NONE}),
        ("Marts.A, B", None, ALL),
        ('["marts.a", "marts.b"]', None, ALL),
        ("", True, NONE),
    ],
)
def test_what_is_built_in_full(
    steps: dict[str, TargetStep], tag: str | None, config: Any, expected: set[str]
) -> None:
    assert in_full(steps, tag, config) == expected


def test_two_models_that_differ_in_case(tmp_path: Path) -> None:
    files = {"models/marts/b.sql": "select 1 as n", "models/core/B.sql": "select 1 as n"}
    project = load(write_project(tmp_path, files), environ={})
    target = usable_target(project)
    steps = {str(key): TargetStep(project, step, target) for key, step in project.steps.items()}
    assert in_full(steps, "b") == {"marts.b"}
    assert in_full(steps, "CORE.b") == {"core.B"}


def test_a_name_that_no_model_has(steps: dict[str, TargetStep]) -> None:
    with pytest.raises(ValueError, match=r"no model is named 'marts\.c'. Did you mean"):
        in_full(steps, "marts.a, marts.c")
    assert in_full({"marts.a": steps["marts.a"]}, "core.never") == set(), "as a re-execution asks"
