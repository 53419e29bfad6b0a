"""A small project, and the dagster-models command on it."""

from __future__ import annotations

from pathlib import Path

from dagster_models.cli.main import main as cli

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
