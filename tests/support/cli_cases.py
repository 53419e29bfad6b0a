"""A small project, and the dagster-models command on it."""

from __future__ import annotations

from pathlib import Path

from commands import output_of
from dagster_models.cli.main import main as cli

#: Without the settings of whoever runs the tests.
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]

FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders, columns: "
    "{id: {type: int}, amount: {type: double}, paid: {type: bool}}}]}]",
    "models/staging/stg.sql": "select id, amount, paid from raw.orders",
    "models/marts/sums.sql": "select id, sum(amount) as total, max(paid) as paid"
    " from stg group by id",
    "models/marts/big.sql": "select id, total * 2 as twice from sums where total > 10",
    "models/marts/ids.sql": "select id from stg",
    "models/marts/code.py": "def model(warehouse):\n"
    "    return warehouse.sql('select id from ids')\n",
}


def run(root: Path, *arguments: str) -> int:
    """The exit code of a command on the project at *root*."""
    return cli(["--project", str(root), *arguments])


def git(folder: Path, *arguments: str) -> str:
    return output_of([*GIT, *arguments], folder)
