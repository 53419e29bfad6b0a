"""``runner:`` and ``ray:``: what they may say, where that means something, and what a task gets."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key, Project
from dagster_models.core.on_ray import OnRay, RayCluster, RayNeeds
from dagster_models.core.tasks import RunnerKind, Task, task_from_json, task_to_json
from dagster_models.project.json_schemas import json_schemas
from dagster_models.project.targets import usable_target
from project_cases import make, report_of, write_project

YAML = """name: p
target: {target}
targets:
  dev: {{type: duckdb, path: w.duckdb}}
  pg: {{type: postgres, dsn: "postgresql://h/d"}}
"""
MODEL = '"""\n@model\n{header}\n"""\ndef model(warehouse):\n    return [{{"a": 1}}]\n'


def files_of(header: str, target: str = "pg", more: str = "") -> dict[str, str]:
    return {
        "dagster_models.yaml": YAML.format(target=target) + more,
        "models/marts/m.py": MODEL.format(header=header),
        "models/marts/q.sql": "select 1 as a",
        "scripts/s.py": "print(1)\n",
    }


def said_of(root: Path) -> str:
    """What load() says, each problem in one line."""
    return report_of(root).replace(": error:", ":").replace("\n    ", ". ")


def task_of(project: Project, key: str = "marts.m", target: str | None = None) -> Task:
    step = project.steps[Key(*key.split("."))]
    task = task_for(TargetStep(project, step, usable_target(project, target)), "r", 1)
    assert task_from_json(task_to_json(task)) == task
    return task


def on_ray(task: Task) -> OnRay:
    assert task.runner is RunnerKind.RAY
    found = getattr(task, "on_ray", None)
    assert isinstance(found, OnRay)
    return found


def test_what_a_step_reserves(tmp_path: Path) -> None:
    header = "runner: {ray: {cpus: 0.5, gpus: 1, memory: 1.5GB, resources: {disk: 2}}}"
    more = "ray: {address: '${RAY}', project_dir: /srv/p}\n"
    found = on_ray(task_of(make(tmp_path, files_of(header, more=more))))
    assert found.needs == RayNeeds(0.5, 1.0, 1_500_000_000, (("disk", 2.0),))
    assert found.cluster == RayCluster("${RAY}", "/srv/p")


def test_a_folder_sends_its_python_and_a_file_may_stay(tmp_path: Path) -> None:
    more = "models: {runner: ray}\nscripts: {runner: ray}\n"
    files = files_of("runner: local", more=more)
    project = make(tmp_path, {**files, "models/marts/n.py": MODEL.format(header="tags: [x]")})
    assert project.warnings == ()
    assert on_ray(task_of(project, "marts.n")).needs == RayNeeds()
    assert on_ray(task_of(project, "scripts.s")).needs == RayNeeds()
    assert task_of(project, "marts.m").runner is RunnerKind.PYTHON
    assert task_of(project, "marts.q").runner is RunnerKind.WAREHOUSE


def test_a_database_file_keeps_its_steps_on_its_machine(tmp_path: Path) -> None:
    """Whichever target a run asks for. The load says so of the default one, once."""
    files = files_of("tags: [x]", "dev", "models: {runner: ray}\n")
    files["models/marts/n.py"] = files["models/marts/m.py"]
    project = make(tmp_path, files)
    assert [str(it) for it in project.warnings] == [
        "dagster_models.yaml:6:18: warning: `runner: ray` does nothing on the target `dev`: its"
        " duckdb file is open on one machine\n    Its steps run in processes of this machine; on a"
        " server they run on Ray."
    ]
    assert task_of(project).runner is RunnerKind.PYTHON
    assert task_of(project, target="pg").runner is RunnerKind.RAY


def test_the_code_version_does_not_depend_on_it(tmp_path: Path) -> None:
    here, there = (make(tmp_path / it, files_of(f"runner: {it}")) for it in ("local", "ray"))
    versions = {it.steps[Key("marts", "m")].code_version for it in (here, there)}
    assert len(versions) == 1


WRONG = {
    "runner: spark": "models/marts/m.py:3:9: `runner`: the text 'spark' is not allowed. Allowed:"
    " local, ray.",
    "runner: {ray: {cpu: 1}}": "models/marts/m.py:3:16: `runner`: unknown key `cpu`. Did you mean"
    " `cpus`?",
    "runner: {ray: {cpus: -1}}": "models/marts/m.py:3:22: `runner`: expected 0 or more, got -1",
    "runner: {ray: {cpus: 1.5}}": "models/marts/m.py:3:22: `runner`: 1.5 is more than 1 and no"
    " whole number. Ray counts whole ones, or a part of one.",
    "runner: {ray: {cpus: many}}": "expected a number, got the text 'many'",
    "runner: {ray: {memory: 8}}": "expected a size, got 8. Write a number and a unit, such as"
    " 500MB or 8GB.",
    "runner: {ray: {resources: disk}}": "expected names, got the text 'disk'",
    "runner: {ray: {resources: {GPU: 1}}}": "`GPU` has a key of its own. Write `gpus:` beside it.",
    "runner: {ray: 2}": "expected keys, got 2. Write `runner: ray`, or `runner: {ray: {cpus: 2}}`.",
    "runner: {}": "`ray` is missing. Write `runner: {ray: {cpus: 2}}`.",
    "runner: ray\nexport: exports/m": "models/marts/m.py:3:9: `export` beside `runner: ray`: the"
    " files would be written on the node that runs it.",
}


@pytest.mark.parametrize("header", WRONG)
def test_what_is_wrong_in_a_header(header: str, tmp_path: Path) -> None:
    assert WRONG[header] in said_of(write_project(tmp_path, files_of(header)))


def test_sql_has_no_runner(tmp_path: Path) -> None:
    files = files_of("")
    files["models/marts/q.sql"] = "/* @model\nrunner: ray\n*/\nselect 1 as a"
    files["models/marts/g.py"] = (
        '"""\n@model\nrunner: ray\n"""\ndef sql(vars):\n    return "select 1 as a"\n'
    )
    found = said_of(write_project(tmp_path, files))
    what = "`runner: ray` is for Python models and scripts; a warehouse runs SQL. Delete it."
    assert f"models/marts/q.sql:2:9: {what}" in found
    assert f"models/marts/g.py:3:9: {what}" in found
    files = {
        **files_of(""),
        "dagster_models.yaml": YAML.format(target="pg") + "seeds: {runner: ray}\n",
    }
    assert "unknown key `runner`" in said_of(write_project(tmp_path / "seeds", files))


def test_what_is_wrong_in_the_project_file(tmp_path: Path) -> None:
    cases = {
        "ray: head:6379\n": "`ray`: expected keys, got the text 'head:6379'",
        "ray: {adress: x}\n": "`ray`: unknown key `adress`. Did you mean `address`?",
        "ray: {project_dir: p}\n": "6:20: `ray`: `p` is no absolute path. Write the absolute path",
    }
    for number, (more, what) in enumerate(cases.items()):
        root = write_project(tmp_path / str(number), files_of("", more=more))
        assert what in said_of(root)


def test_an_editor_knows_both() -> None:
    def errors(schema: str, text: str) -> int:
        known = jsonschema.Draft202012Validator(json_schemas()[schema])
        return len([*known.iter_errors(yaml.safe_load(text))])

    for header in ("runner: ray", "runner: local", "runner: {ray: {cpus: 0.5, memory: 8GB}}"):
        assert not errors("model_header", header)
    for header in ("runner: spark", "runner: {ray: {memory: 8}}", "runner: {ray: {cpu: 1}}"):
        assert errors("model_header", header)
    assert not errors("dagster_models", "name: p\nray: {address: auto, project_dir: /srv/p}")
    assert errors("dagster_models", "name: p\nray: {adress: auto}")
