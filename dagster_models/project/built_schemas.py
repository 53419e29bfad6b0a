"""``target/schemas.json``: the columns that builds left in the warehouse, for the next load.

The SQL alone does not give every type, and a Python model's columns not at all. A run writes down
what it saw, with the code version that built it. It is a cache: a lost or old file costs knowledge
of columns, and is never an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_models.util.atomic_file import replace_file

SCHEMAS_FILE = "schemas.json"


@dataclass(frozen=True, slots=True)
class BuiltSchema:
    """What the last build of a step left: its code version, and the columns with their types."""

    code_version: str
    columns: tuple[tuple[str, str], ...]


def remembered(folder: str | Path) -> dict[str, BuiltSchema]:
    """What runs left in the project's target folder, by the step's key. Nothing where the file is
    missing, cut short or odd."""
    try:
        known = json.loads((Path(folder) / SCHEMAS_FILE).read_text(encoding="utf-8"))
        return {
            step: BuiltSchema(version, tuple((column, type_) for column, type_ in columns))
            for step, (version, columns) in known.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(folder: str | Path, built: Mapping[str, BuiltSchema]) -> None:
    """Add what a run built to what earlier ones left. Of two runs that end together one may lose
    its part: the file is replaced as a whole, so no reader sees half of one.

    Raises OSError if it cannot be written.
    """
    if not built:
        return
    path = Path(folder) / SCHEMAS_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    kept = known if isinstance(known, dict) else {}
    new = {step: [item.code_version, item.columns] for step, item in built.items()}
    replace_file(path, json.dumps({**kept, **new}, sort_keys=True))
