"""What an import says of a part of the dbt project, beside what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: Of a target, in the report and in the terminal.
DBTS_OWN = "is dbt's own database: a run here builds in place of what dbt has built there"
#: Of a source whose file no path of ours leads to, in the report and in the terminal.
EDIT_PATH = "copy or link the file, or edit the path"


class Weight(Enum):
    """``NOTE``: the rows and results are the same. ``DIFFERS``: they may be others. ``LEFT_OUT``:
    nothing of ours replaces a part of dbt's."""

    NOTE = "note"
    DIFFERS = "differs"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Remark:
    """``of``: dbt's unique_id, or "" for the project."""

    of: str
    what: str
    weight: Weight = Weight.LEFT_OUT
