"""The run config of a project's jobs, as the launchpad shows, offers and checks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.snap.snap_to_yaml import default_values_yaml_from_type_snap

from dagster_models import load_project, models_executor
from dagster_models.execution.options import chosen_target
from dagster_models.execution.run_variables import given_variables
from running import make_project

FILES = {
    "models/a.sql": "select $late_minutes as n, $api_key as k",
    "models/b.sql": "select $late_minutes as n",
}
SETTINGS = """target: dev
fail_fast: drain
vars:
  late_minutes: 15
  unused: 1
  api_key: {type: text, env: LAUNCHPAD_KEY, secret: true}
jobs: {all: {}}
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.JobDefinition:
    monkeypatch.setenv("LAUNCHPAD_KEY", "hunter2")
    return load_project(make_project(tmp_path, FILES, SETTINGS).root).resolve_job_def("all")


def config(**settings: Any) -> dict[str, Any]:
    return {"execution": {"config": settings}}


#: What the launchpad begins with.
SHOWN = {
    "target": "dev",
    "fail_fast": "drain",
    "max_concurrent": 2,
    "vars": {},
    "full_refresh": False,
    "checks": "each",
    "only_changed": False,
    "cancel_grace_seconds": 10.0,
}


def test_it_begins_with_what_a_run_does_that_sets_nothing(job: dg.JobDefinition) -> None:
    snapshot = job.get_config_schema_snapshot()
    root = snapshot.get_config_snap(job.run_config_schema.run_config_schema_type.key)
    shown = yaml.safe_load(default_values_yaml_from_type_snap(snapshot, root))
    assert shown["execution"]["config"] == SHOWN
    assert given_variables({}, shown) is None
    assert chosen_target({}, shown) == "dev"


GOOD = [
    {},
    {"target": "dev"},
    {"target": None, "vars": None, "checks": None},
    {"fail_fast": True, "max_concurrent": 2},
    {"fail_fast": "drain", "full_refresh": True},
    {"full_refresh": ["main.a"], "only_changed": True, "defer": "dev"},
    {"full_refresh": "main.a"},
    *({"checks": when} for when in ("each", "after", "none")),
    {"vars": {"late_minutes": 3}},
    {"vars": {"another": 2}},  # the run itself says that there is no such variable
]


@pytest.mark.parametrize("settings", GOOD)
def test_what_it_takes(job: dg.JobDefinition, settings: dict[str, Any]) -> None:
    assert dg.validate_run_config(job, config(**settings))


@pytest.mark.parametrize(
    ("settings", "choices"),
    [
        ({"target": "prod"}, r"target \(dev\)"),
        ({"defer": "prod"}, r"target \(dev\)"),
        ({"checks": "later"}, r"checks \(each, after, none\)"),
    ],
)
def test_what_it_refuses_before_there_is_a_run(
    job: dg.JobDefinition, settings: dict[str, Any], choices: str
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=choices):
        dg.validate_run_config(job, config(**settings))


def test_every_setting_is_described_with_its_default(job: dg.JobDefinition) -> None:
    fields: Any = job.executor_def.config_schema.config_type.fields
    assert list(fields)[:5] == ["target", "fail_fast", "max_concurrent", "vars", "full_refresh"]
    said = {name: field.description or "" for name, field in fields.items()}
    ours = set(said) - {"retries", "tag_concurrency_limits"}  # Dagster's own
    assert {name for name in ours if "Default: " not in said[name]} == set()
    variables = fields["vars"].config_type.inner_type.fields
    assert {name: it.description for name, it in variables.items()} == {
        "late_minutes": "Default: 15.",
        "unused": "Default: 1.",
    }, "neither a secret, which nobody may give, nor the secret's value"


def test_the_executor_of_a_location_takes_any_target() -> None:
    """It may have several projects."""
    fields: Any = models_executor.config_schema.config_type.fields
    assert fields["target"].config_type.inner_type.given_name == "String"
    set_ = {name for name in SHOWN if fields[name].default_value is not None}
    assert set_ == {"only_changed", "cancel_grace_seconds"}
