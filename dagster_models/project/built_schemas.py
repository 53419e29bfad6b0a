"""``target/schemas.json``: the columns that builds left in the warehouse, for the next load.

The SQL alone does not give every type, and a Python model's columns not at all. A run writes down
what it saw, with the code version that built it; core/project.py reads it. It is a cache: a lost
or old one costs knowledge of columns, and never makes an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dagster_models.project.load import SCHEMAS_FILE
from dagster_models.project.trace import Built
from dagster_models.util.atomic_file import replace_file


def remember(root: str | Path, built: Mapping[str, Built]) -> None:
    """Add what a run built to what earlier ones left. Of two runs that end together one may lose
    its part: the file is replaced as a whole, so no reader sees half of one.

    Raises OSError if it cannot be written.
    """
    if not built:
        return
    path = Path(root) / SCHEMAS_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    kept = known if isinstance(known, dict) else {}
    new = {step: [item.code_version, item.columns] for step, item in built.items()}
    replace_file(path, json.dumps({**kept, **new}, sort_keys=True))
