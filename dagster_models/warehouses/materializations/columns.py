"""The columns of new rows beside those of their table: matched by name, and what to do if they
differ. No value is ever left to the conversion of an INSERT, which stores 2 for 1.5 in silence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.core.materializations import Incremental, Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.materializations.hooks import Hooks

Columns = Sequence[tuple[str, str]]

_NUMBER = re.compile(r"(u?(tiny|small|big|huge)?int(eger)?|numeric|decimal|real|float|double)\b")
_TIME = re.compile(r"(date|timestamp)")
#: A value is none of the new type, or no value of the old type can be one.
_NO_CAST = (ErrorKind.BAD_VALUE, ErrorKind.BAD_COLUMN, ErrorKind.UNSUPPORTED)


def columns_named(columns: Columns, names: Sequence[str], of: str = "the query") -> list[str]:
    """The columns that YAML names, as the warehouse spells them, each once. Nobody writes quotes in
    YAML, so a column is found whatever its case, if there is only one. Raises WarehouseError for no
    column."""
    found: dict[str, None] = {}
    for name in names:
        known = [column for column, _ in columns]
        close = [column for column in known if column.lower() == name.lower()]
        if name in known or len(close) == 1:
            found[name if name in known else close[0]] = None
            continue
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"{of} has no column `{name}`; it has {', '.join(known)}",
            name="MissingColumn",
        )
    return list(found)


def columns_of_table(
    columns: Columns, relation: Relation, names: Sequence[str], key: str
) -> list[str]:
    """Those of the table's columns that the setting *key* names. Raises WarehouseError if one is
    missing, with what to do."""
    try:
        return columns_named(columns, names, of=f"{key}: {relation}")
    except WarehouseError as error:
        error.message += ". If it is new, build the model once in full (`full_refresh`)"
        raise


@dataclass(frozen=True, slots=True)
class Retyped:
    """A column whose type in the new rows is another one than in the table."""

    name: str
    old: str
    new: str


def fit(
    session: Hooks,
    relation: Relation,
    how: Incremental | Snapshot,
    *,
    of_python: bool,
    own: Sequence[str] = (),
    there: Columns | None = None,
) -> list[str]:
    """Make the table and the staged rows fit; return the columns to write. *own* are columns of the
    table that no query returns, and *there* all that it has, where they are known.

    Raises WarehouseError where ``on_schema_change`` does not allow for it, or values would change.
    """
    old = {
        session.folded(name): (name, type_)
        for name, type_ in (session.columns(relation) if there is None else there)
        if name not in own
    }
    new = {session.folded(name): (name, type_) for name, type_ in session.columns(session.staging)}
    added = [column for key, column in new.items() if key not in old]
    gone = [name for key, (name, _) in old.items() if key not in new]
    retyped = [
        Retyped(new[key][0], old[key][1], new[key][1])
        for key in old
        if key in new and old[key][1] != new[key][1]
    ]
    retyped = [it for it in retyped if not _convert_staged(session, relation, how, it, of_python)]
    refuse_changed(relation, how, added, gone, retyped)
    others = []
    if how.on_schema_change == "sync_all_columns":
        others = [f"DROP COLUMN {quote(name)}" for name in gone]
        for column in retyped:
            said = f"the type of `{column.name}` has changed from {column.old} to {column.new}"
            _refuse_to_change(session, relation, column.name, column.old, column.new, said)
            others.append(_retype(column.name, column.new))
    if how.on_schema_change != "ignore":
        columns = [f"ADD COLUMN {quote(name)} {type_}" for name, type_ in added]
        if columns or others:
            session.alter(relation, columns, others)
    left_out = {name for name, _ in added} if how.on_schema_change == "ignore" else set()
    return [name for name, _ in new.values() if name not in left_out]


def _convert_staged(
    session: Hooks,
    relation: Relation,
    how: Incremental | Snapshot,
    column: Retyped,
    of_python: bool,
) -> bool:
    """Give a staged column the table's type, where that is what its author means; whether it was.

    A type of which each value is one of the table's type is no other type. The type in `columns:`
    of a query that reads its own table is that of the table. The type of a
    column that Python returns comes from its values: a column without a value, or of whole numbers
    with a NULL among them, may have another one each time.
    """
    declared = column.name in {name for name, _ in how.columns}
    if not (declared or session.fits(column.new, column.old)):
        if not of_python:
            return False
        staged = quoted(session.staging)
        filled = f"SELECT count({quote(column.name)}) FROM {staged}"
        if not _are_alike(column) and session.rows(filled)[0][0]:
            return False
        said = f"`{column.name}` is {column.new} in the new rows and {column.old} in {relation}"
        _refuse_to_change(session, session.staging, column.name, column.new, column.old, said)
    retype = _retype(column.name, column.old)
    session.change(f"ALTER TABLE {quoted(session.staging)} {retype}")
    return True


def _are_alike(column: Retyped) -> bool:
    types = column.old.lower(), column.new.lower()
    return any(all(map(kind.match, types)) for kind in (_NUMBER, _TIME))


def _retype(name: str, type_: str) -> str:
    return f"ALTER COLUMN {quote(name)} TYPE {type_} USING CAST({quote(name)} AS {type_})"


def _refuse_to_change(
    session: Hooks, relation: Relation, name: str, old: str, new: str, said: str
) -> None:
    """Raise WarehouseError, which begins with what is *said*, if the type *new* cannot hold the
    values that a column has."""
    found = "which cannot hold all of its values, e.g. {}"
    try:
        rows = session.rows(
            f"SELECT CAST({quote(name)} AS VARCHAR) FROM {quoted(relation)}"
            f" WHERE {session.altered(quote(name), old, new)} LIMIT 1"
        )
    except WarehouseError as error:
        if error.kind not in _NO_CAST:
            raise
        found, rows = "to which not all of its values can be cast ({})", [(error.message,)]
    if rows:
        raise WarehouseError(
            ErrorKind.BAD_VALUE,
            f"{said}, {found.format(rows[0][0])}. Nothing was changed: cast it in the query",
            name="TypeChanged",
        )


def type_changed(name: str, change: Retyped) -> WarehouseError:
    """The refusal where values of the column of that name are none of its new type."""
    return WarehouseError(
        ErrorKind.BAD_VALUE,
        f"the type of `{name}` has changed from {change.old} to {change.new}, which cannot hold all"
        " of its values. Nothing was changed: cast it in the query",
        name="TypeChanged",
    )


def refuse_changed(
    relation: Relation,
    how: Incremental | Snapshot,
    added: Columns,
    gone: Sequence[str],
    retyped: Sequence[Retyped],
) -> None:
    """Raise WarehouseError if ``on_schema_change`` does not allow for these changes."""
    said = []
    policy = how.on_schema_change
    if policy == "fail" and added:
        said.append("new: " + ", ".join(f"`{name}` ({type_})" for name, type_ in added))
    if policy == "fail" and gone:
        said.append("gone: " + ", ".join(f"`{name}`" for name in gone))
    if policy != "sync_all_columns" and retyped:
        types = (f"`{it.name}` ({it.new}; in the table {it.old})" for it in retyped)
        said.append("of another type: " + ", ".join(types))
    if said:
        others = "" if policy == "fail" and not retyped else " the types with a cast, or"
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"the query's columns are not those of {relation} ({'; '.join(said)}). Nothing was"
            f" changed: keep{others} the columns as they were, {_remedy(how, gone, retyped)}",
            name="SchemaChanged",
        )


def _remedy(how: Incremental | Snapshot, gone: Sequence[str], retyped: Sequence[Retyped]) -> str:
    """What to do if the columns are meant to change."""
    if how.refreshable:
        policy = "sync_all_columns" if retyped or gone else "append_new_columns"
        return (
            f"set `on_schema_change: {policy}`, or build the table anew by a run with"
            " `full_refresh`"
        )
    if retyped:
        return "or change the types in the table by hand (ALTER TABLE)"
    return "or set `on_schema_change: append_new_columns`"
