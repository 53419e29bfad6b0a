"""The table of commit records: what all warehouses that keep one share.

The table has a *format*, whose number stands beside it. A program that finds an older format
brings it up to its own, one migration after the other; one that finds a newer format says so and
touches nothing. Format 1 (dagster-models 0.1.0) had no such number.
"""

from __future__ import annotations

from dagster_models.core.commit import ADOPTED_TABLE, Commit
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError

RECORDS = Relation("dagster_models", "commits")
#: 2: no two records of one attempt, in any warehouse, and this number.
#: 3: what an incremental build has changed; an attempt may have several records, its parts.
#: 4: who builds a relation, and what tells it from another one of its name.
#: 5: records of the windows of a relation, of which one attempt may have several. Nothing is added;
#: an older program would take the first one for the proof that all of them were built.
FORMAT = 5
#: The columns of the table, in the order of Commit's fields. Every INSERT and SELECT names them, so
#: that columns which a later format adds are no matter.
COLUMNS = tuple(Commit.__dataclass_fields__)
#: What format 3 has added, each with its type in all warehouses and its value in older records.
ADDED_IN_3 = {
    "part": "INTEGER DEFAULT 0",
    "kind": "VARCHAR DEFAULT 'whole'",
    "window_start": "VARCHAR",
    "window_end": "VARCHAR",
    "since": "VARCHAR",
    "inserted": "BIGINT",
    "updated": "BIGINT",
    "deleted": "BIGINT",
}
ADDED_IN_4 = {"builder": "VARCHAR", "identity": "VARCHAR"}


def from_last_whole(commits: list[Commit]) -> list[Commit]:
    """Those of one relation, in their order, from the last one on that has replaced all of it, or
    has taken over the table that somebody else has put in its place."""
    kinds = ("whole", ADOPTED_TABLE)
    whole = [at for at, commit in enumerate(commits) if commit.kind in kinds]
    return commits[whole[-1] :] if whole else commits


def refuse_newer(found: int | None, known: int = FORMAT) -> None:
    """Raise WarehouseError if the database has a format that this program does not know."""
    if found is not None and found > known:
        raise WarehouseError(
            ErrorKind.VERSION_MISMATCH,
            f"the commit records of this database have format {found}, and this dagster-models"
            f" knows formats up to {known}: a newer version has used the database. Use that"
            " version, or a newer one, here too",
        )
