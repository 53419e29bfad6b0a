"""A project whose models have unit tests."""

from __future__ import annotations

from typing import Any

from dagster_models.core.model import Location
from dagster_models.core.unit_tests import Cell

FILES = {
    "dagster_models.yaml": "name: p\nvars: {least: 10}\n",
    "models/sources.yaml": """
sources:
  - name: raw
    tables:
      - name: lines
        columns:
          order_id: {type: integer}
          line: {type: integer}
          status: {type: varchar}
          price: {type: "decimal(18,2)"}
          seen: {type: timestamp}
          at: {type: timestamptz}
          day: {type: date}
""",
    "models/marts/orders.sql": "select order_id, status from inside where line > $least",
    "models/marts/inside.sql": "/* @model\nmaterialized: ephemeral\n*/\nselect * from raw.lines",
    "models/marts/twin.sql": "select 1 as x",
    "models/other/twin.sql": "select 1 as x",
    "models/marts/undeclared.sql": "select * from raw.nowhere",
    "models/marts/copied.sql": "/* @model\nmaterialized: copy\nfrom: dev\n*/\nselect 1 as x",
    "models/marts/f.sql": "/* @model\nmaterialized: function\nreturns: integer\n*/\nselect 1",
    "models/marts/py.py": "def model(warehouse):\n    return [{'x': 1}]\n",
    "seeds/s.csv": "a\n1\n",
}


def cell(value: Any, written: str | None) -> Cell:
    return Cell(value, written, Location("a.yaml"))
