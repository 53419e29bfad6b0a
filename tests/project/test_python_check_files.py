"""What the project says of a check in Python: its model, what it reads, and what is sent."""

from __future__ import annotations

from pathlib import Path

from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.model import Key, Project
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import RunnerKind, task_to_json
from project_cases import make, upstream

MODELS = {
    "models/m/orders.sql": "/* @model\nmaterialized: table\n*/\nselect 1 as n",
    "models/m/customers.sql": "/* @model\nmaterialized: table\n*/\nselect 2 as n",
    "models/m/last.sql": "select * from orders",
    "lib/rules.py": "def rule(warehouse):\n    return warehouse.sql('select * from customers')\n",
}
BOTH = '''"""Both.

@check
model: orders
error_if: "> 5%"
description: Customers are known.
limit: 3
"""
from lib.rules import rule

def check(warehouse):
    known = {n for (n,) in rule(warehouse)}
    return [row for row in warehouse.sql("select n from orders where n > $least") if row]
'''


def task_of(project: Project, name: str) -> tuple[str, CheckTask]:
    for step in project.steps.values():
        for check in step.checks:
            if check.name == name:
                return str(step.key), check_task(project, step, check, project.targets["dev"])
    raise KeyError(name)


def test_its_model_its_reads_and_what_is_sent(tmp_path: Path) -> None:
    files = {**MODELS, "checks/both.py": BOTH, "dagster_models.yaml": "name: p\nvars: {least: 3}\n"}
    project = make(tmp_path, files)
    key, task = task_of(project, "both")
    assert (key, upstream(project, "m.orders")) == ("m.orders", ["m.customers"])
    assert task.code is not None
    own = f'{OWN_RELATION} AS "orders"'
    assert task.code.queries == {
        "select n from orders where n > $least": f"select n from {own} where n > 3",
        "select * from customers": 'select * from "m"."customers"',
    }
    assert [module.name for module in task.code.modules] == ["lib/rules.py"]
    assert task.code.file.is_as_loaded(files["checks/both.py"].encode())
    (check,) = project.steps[Key("m", "orders")].checks
    assert (check.description, check.limit, check.blocking) == ("Customers are known.", 3, True)
    assert (check.location.path, check.location.line) == ("checks/both.py", 11)


def test_no_code_version_changes_and_the_step_runs_in_a_worker(tmp_path: Path) -> None:
    before = make(tmp_path / "a", MODELS)
    after = make(
        tmp_path / "b",
        {
            **MODELS,
            "checks/c.py": "def check(warehouse):\n    return len(warehouse.table('orders')) > 0\n",
        },
    )
    versions = [{key: it.code_version for key, it in p.steps.items()} for p in (before, after)]
    assert versions[0] == versions[1]
    for project, runner in ((before, RunnerKind.WAREHOUSE), (after, RunnerKind.PYTHON)):
        step = project.steps[Key("m", "orders")]
        it = TargetStep(project, step, project.targets["dev"])
        task = task_for(it, "r", 1)
        assert (task.runner, it.is_python) == (runner, runner is RunnerKind.PYTHON)
        assert task_to_json(task)["task"] == "BuildTask"


def test_one_that_reads_a_later_model_runs_with_it(tmp_path: Path) -> None:
    text = '"""\n@check\nmodel: orders\n"""\ndef check(warehouse):\n    return warehouse.sql('
    text += "'select * from orders join last using (n)')\n"
    project = make(tmp_path, {**MODELS, "checks/late.py": text})
    key, task = task_of(project, "late")
    assert key == "m.last"
    assert task.code is not None
    assert list(task.code.queries.values()) == [
        'select * from "m"."orders" AS "orders" join "m"."last" using (n)'
    ]
    assert task.code.relations["orders"] == '"m"."orders"'
