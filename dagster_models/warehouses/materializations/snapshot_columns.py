"""The columns that a snapshot adds to those of its query, and how they are told from others."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.materializations.hooks import Hooks

#: A version that ends then or later has not ended: ``valid_to_current`` is later. So a project may
#: change what open versions hold.
FAR = "TIMESTAMP '2200-01-01'"


#: The type of dbt's hash.
SCD_ID_TYPE = "TEXT"


def own_columns(how: Snapshot, has_marks: bool) -> tuple[str, ...]:
    """The names of those that the table has, with the mark that an earlier build has added."""
    named = {**how.meta_columns, "is_deleted": how.is_deleted if has_marks else ""}
    return tuple(name for name in named.values() if name)


def hash_of(values: Sequence[str], text_type: str = "VARCHAR") -> str:
    """dbt's `snapshot_hash_arguments`: the hash of the values' texts."""
    texts = " || '|' || ".join(f"coalesce(CAST({it} AS {text_type}), '')" for it in values)
    return f"md5({texts})"


def add_named(session: Hooks, relation: Relation, how: Snapshot) -> None:
    """Add the columns that a snapshot has only if they are named; older versions have NULL."""
    there = {session.folded(name) for name, _ in session.columns(relation)}
    for name, type_ in ((how.scd_id, SCD_ID_TYPE), (how.scd_updated_at, "TIMESTAMP")):
        if name and session.folded(name) not in there:
            session.add_column(relation, quote(name), type_, f"CAST(NULL AS {type_})")


def add_mark(session: Hooks, relation: Relation, how: Snapshot) -> None:
    session.add_column(relation, quote(how.is_deleted), "BOOLEAN", "false")


def open_end(how: Snapshot) -> str:
    return f"TIMESTAMP '{how.open_end}'" if how.open_end else "CAST(NULL AS TIMESTAMP)"


def refuse_another_table(session: Hooks, relation: Relation, how: Snapshot) -> None:
    types = dict(session.columns(relation))
    for name in (how.valid_from, how.valid_to):
        type_ = types.get(name, "").lower()
        if not type_.startswith("timestamp") or "with time zone" in type_:
            has = f"its column `{name}` is of the type {type_}" if type_ else f"no column `{name}`"
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"{relation} is a table, but no snapshot with these columns: it has"
                f" {has.removeprefix('its ')}. It may hold a history, so it is never replaced:"
                " rename or drop it by hand, or name its columns in `snapshot_meta_column_names`",
                name="NoSnapshot",
            )


def has_marks(session: Hooks, relation: Relation, how: Snapshot, returned: Sequence[str]) -> bool:
    """Whether the table has our mark of deletions. A column of its name that the query returns, or
    once has, is none: such a column has no default.

    Raises WarehouseError if there is one, and deletions are to be marked.
    """
    columns = {session.folded(name): name for name, _ in session.columns(relation)}
    name = columns.get(session.folded(how.is_deleted))
    if name is None or name in returned:
        return False
    if session.has_default(relation, name):
        return True
    if how.hard_deletes != "new_record":
        return False
    raise WarehouseError(
        ErrorKind.BAD_COLUMN,
        f"{relation} has a column `{name}`, which is not the mark that this snapshot adds: it has"
        " no default. Its values would be taken for deletions. Nothing was changed: give the mark"
        " another name with `snapshot_meta_column_names: {is_deleted: ...}`, or, if it is the mark"
        f" after all, ALTER TABLE {quoted(relation)} ALTER COLUMN {quote(name)} SET DEFAULT false",
        name="OwnColumn",
    )


def history_in_the_way(relation: Relation) -> WarehouseError:
    """A build of another kind would end a history."""
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{relation} holds the history of a snapshot, and this build would destroy it, as"
        " the model is not `materialized: snapshot` any more. Nothing was changed: give the"
        " model another name (alias), or rename or drop the table by hand",
        name="HistoryInTheWay",
    )


def no_snapshot_yet(relation: Relation) -> WarehouseError:
    """A snapshot would begin in a table of another kind."""
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{relation} is a table that the model built before it became a snapshot, and"
        " it may hold rows that nothing can build again, so it is never replaced:"
        " rename or drop it by hand, or give the model another name (alias)",
        name="NoSnapshot",
    )
