"""Where checks may be declared, and what they make their model depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.core.model import Key, Project, Target
from dagster_models.core.target_types import target_type
from dagster_models.project.targets import usable_target
from project_cases import load, write_project

FILES = {
    "dagster_models.yaml": """
name: p
vars: {least: 5}
seeds:
  carriers:
    checks: [{row_count: {min: 1}}]
    columns: {code: {tests: [unique]}}
""",
    "seeds/carriers.csv": "code\nAA\n",
    "models/sources.yaml": """
sources:
  - name: raw
    schema: raw_prod
    tables:
      - name: flights
        columns:
          n: {type: integer}
          carrier:
            type: varchar
            data_tests:
              - not_null
              - relationships: {name: r, to: "source('raw', 'old')", field: x, where: n > $least}
              - relationships: {to: ref('carriers'), field: code, config: {where: n > $least}}
        checks: [{row_count: {fewer_than: marts.all_flights}}, {equality: {to: raw.old}}]
      - {name: old}
""",
    "models/marts/flights.sql": """/* @model
checks:
  - expression: {sql: "carrier in (select code from carriers) or n in (select n from limits)"}
  - equality: {to: all_flights, columns: [carrier]}
*/
select carrier, 1 as n from raw.flights
""",
    "models/marts/all_flights.sql": "select carrier from raw.flights",
    "models/marts/limits.sql": "/* @model\nmaterialized: ephemeral\n*/\nselect 1 as n",
    "models/marts/frame.py": '''"""
@model
checks: [{unique: [a, b]}]
columns: {a: {checks: [not_null]}}
"""


def model(warehouse):
    return None
''',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = load(write_project(tmp_path_factory.mktemp("checks"), FILES), environ={})
    assert found.warnings == ()
    return found


def names(project: Project, schema: str, name: str) -> list[str]:
    return [check.name for check in project.steps[Key(schema, name)].checks]


def test_a_seed_and_a_python_model_have_checks_of_the_relation(project: Project) -> None:
    assert names(project, "seeds", "carriers")[:2] == ["unique_code", "row_count"]
    assert names(project, "marts", "frame") == ["not_null_a", "unique_a_b"]


def test_what_a_check_reads_is_built_before_its_model(project: Project) -> None:
    step = project.steps[Key("marts", "flights")]
    assert {Key("seeds", "carriers"), Key("marts", "all_flights")} < set(step.upstream)


def test_an_ephemeral_model_stands_in_the_condition(project: Project) -> None:
    step = project.steps[Key("marts", "flights")]
    task = check_task(project, step, step.checks[0], Target("x", target_type("duckdb")))
    assert 'select code from "seeds"."carriers"' in task.condition
    assert "select n from (\n/* @model\nmaterialized: ephemeral" in task.condition


def test_the_checks_of_a_source_know_what_they_read(project: Project) -> None:
    source = project.sources[Key("raw", "flights")]
    assert [check.name for check in source.checks] == ["not_null_carrier", "r", "equality"]
    target = Target("x", target_type("postgres"), schema_prefix="dev_")
    _, related, equal = (check_task(project, source, it, target) for it in source.checks)
    assert '"raw_prod"."old" as parent' in related.sql
    assert "n > 5" in related.where
    assert equal.columns == ("n", "carrier"), "all that are declared"


def test_a_check_of_a_source_that_reads_a_model_runs_with_that_model(project: Project) -> None:
    target = Target("x", target_type("postgres"), schema_prefix="dev_")
    seed = project.steps[Key("seeds", "carriers")]
    related = check_task(project, seed, seed.checks[-1], target)
    assert related.name == "flights_relationships_carrier"
    assert '"dev_seeds"."carriers" as parent' in related.sql
    assert '"raw_prod"."flights"' in related.sql
    later = project.steps[Key("marts", "all_flights")]
    assert '"raw_prod"."flights"' in check_task(project, later, later.checks[0], target).number


def test_a_check_does_not_change_what_is_built(project: Project, tmp_path: Path) -> None:
    bare = "select carrier, 1 as n from raw.flights\n"
    other = load(write_project(tmp_path, {**FILES, "models/marts/flights.sql": bare}), environ={})
    key = Key("marts", "flights")
    assert project.steps[key].code_version == other.steps[key].code_version


@pytest.mark.parametrize("value", ["5", "'x'", "2024-01-31", "true"])
def test_a_query_may_have_an_argument_of_any_type(tmp_path: Path, value: str) -> None:
    query = "/* @check\narguments:\n  v: value\n  w: {type: value, default: 7}\n*/\n"
    files = {
        "checks/kv.sql": query + "select * from $this where a in ($v, $w)",
        "models/m/x.sql": f"/* @model\nchecks: [{{kv: {{v: {value}}}}}]\n*/\nselect 1 as a",
    }
    project = load(write_project(tmp_path, {"dagster_models.yaml": "name: p\n", **files}))
    (step,) = project.steps.values()
    (check,) = step.checks
    task = check_task(project, step, check, usable_target(project))
    assert "7" in task.sql
    assert value.strip("'") in task.sql.lower()
