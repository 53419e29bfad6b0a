"""Which of our steps a step of a Dagster job stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.execution.api import create_execution_plan

from dagster_models import load_project
from dagster_models._dagster.steps import executable_steps
from dagster_models.execution.step_functions import target_step_of
from running import make_project


@dataclass(frozen=True, slots=True)
class WithoutWeakReferences:
    """Dagster takes a callable of any kind as the function of an asset."""

    def __call__(self) -> None: ...


def test_our_steps_are_known_and_foreign_ones_are_not(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/marts/a.sql": "select 1 as x"})
    plain = dg.asset(name="plain")(lambda: None)
    odd = dg.multi_asset(name="odd", specs=[dg.AssetSpec("odd")])(WithoutWeakReferences())
    definitions = load_project(project.root, assets=[plain, odd])
    job = definitions.resolve_job_def("test")
    plan = create_execution_plan(job)
    found = {
        key: target_step_of(job, plan.get_executable_step_by_key(key))
        for key in executable_steps(plan)
    }
    assert {key: step and step.name for key, step in found.items()} == {
        "marts__a": "marts.a",
        "plain": None,
        "odd": None,
    }
