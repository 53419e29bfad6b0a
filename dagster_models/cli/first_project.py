"""The files of a first project: what ``dagster-models init`` writes.

The name of the project goes into each text as ``$name``, and ``$folder`` is where the project is in
its git repository.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from dagster_models.project.first_project import DEFINITIONS, HOME, definitions_text, project_text
from dagster_models.project.settings import PROJECT_FILE

PYPROJECT = "pyproject.toml"
WORKFLOW = ".github/workflows/dagster_models.yml"

_HEAD = """\
# yaml-language-server: $$schema=target/schemas/dagster_models.json
# Every key is in docs/configuration.md. `dagster-models check` reports what is wrong.
"""
_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$name"
version = "0.1.0"
requires-python = ">=3.10,<3.14"
dependencies = ["dagster-models"]

[project.optional-dependencies]
dev = ["dagster-webserver", "dagster-dg-cli"]

# `pip install .` brings what the project needs. The project itself is read where it is.
[tool.setuptools]
py-modules = []

"""
#: What other programs need to find the project; it may be added to a pyproject.toml that is there.
TABLES = """\
# `dagster dev` and `dagster-models run` read this table,
[tool.dagster]
module_name = "definitions"
code_location_name = "$name"

# and `dg dev`, `dg list defs`, `dg check defs` and `dg launch` these.
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "definitions"
code_location_target_module = "definitions"
code_location_name = "$name"
defs_module = "definitions"
"""
_SEED = """\
order_id,customer,amount,status
1,Ada,12.50,paid
2,Ada,30.00,paid
3,Grace,7.25,open
4,Alan,99.90,paid
"""
_DESCRIBED = """\
# yaml-language-server: $$schema=../target/schemas/models.json
# A seed has no header, so a file beside it says what is to be said. Models may have one, too.
seeds:
  - name: orders
    description: The orders of the shop.
    columns:
      - {name: order_id, checks: [unique, not_null]}
"""
_MODEL = """\
/* @model
description: What each customer has paid.
columns:
  customer: {checks: [unique, not_null]}
*/
select
    customer,
    count(*) as orders,
    sum(amount) as paid
from orders
where status = 'paid'
group by customer
"""
_CHECK = """\
/* @check
model: payments
description: What the customers have paid adds up to the orders that are paid.
*/
select *
from
    (select sum(paid) as total from payments) as by_customer,
    (select sum(amount) as total from orders where status = 'paid') as of_orders
where by_customer.total <> of_orders.total
"""
_UNIT_TEST = """\
# yaml-language-server: $$schema=../target/schemas/unit_tests.json
- model: marts.payments
  name: only what is paid counts
  given:
    seeds.orders:
      - {customer: Ada, amount: 10.5, status: paid}
      - {customer: Ada, amount: 2, status: paid}
      - {customer: Ada, amount: 99, status: open}
  expect:
    - {customer: Ada, orders: 2, paid: 12.5}
"""
_WORKFLOW = """\
# GitHub Actions: the project is checked, tested and built from nothing.
name: dagster-models
on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    defaults: {run: {working-directory: $folder}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install .
      - run: dagster-models check --format github
      - run: dagster-models test
      - run: dagster-models run
"""
_GITIGNORE = f"""\
target/
{HOME}/*
!{HOME}/dagster.yaml
.venv/
__pycache__/
*.egg-info/
"""


def texts(name: str, folder: str, example: bool) -> dict[str, str]:
    """Path -> text of each file. ``example``: with a model, a seed, a check and a unit test."""
    templates: Mapping[str, str] = {
        PROJECT_FILE: _HEAD + project_text(name),
        DEFINITIONS: definitions_text(),
        PYPROJECT: _PYPROJECT + TABLES,
        WORKFLOW: _WORKFLOW,
    }
    if example:
        templates = {
            **templates,
            "seeds/orders.csv": _SEED,
            "seeds/orders.yml": _DESCRIBED,
            "models/marts/payments.sql": _MODEL,
            "checks/payments_add_up.sql": _CHECK,
            "unit_tests/marts.yaml": _UNIT_TEST,
        }
    values = {"name": name, "folder": folder}
    found = {path: Template(text).substitute(values) for path, text in templates.items()}
    return found | home_texts()


def home_texts() -> dict[str, str]:
    """Path -> text of the files of a Dagster home in a project's folder."""
    settings = (files(__package__) / "dagster.yaml").read_text("utf-8")
    return {".gitignore": _GITIGNORE, f"{HOME}/dagster.yaml": settings}


def commands(folder: Path, words: Sequence[str], definitions: str) -> Iterator[str]:
    """What to enter next: the commands of these *words* in the project's folder, and then the UI.
    *definitions*: the file that `dagster dev` is given, "" if it finds that by itself."""
    there = f"cd {shlex.quote(str(folder))} && " if folder != Path.cwd() else ""
    for at, word in enumerate(words):
        yield f"{there * (at == 0)}dagster-models {word}"
    file = f" -f {definitions}" if definitions else ""
    yield f'DAGSTER_HOME="$PWD/{HOME}" DAGSTER_EVENT_BATCH_SIZE=1000 dagster dev{file}'
