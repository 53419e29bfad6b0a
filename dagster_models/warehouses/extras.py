"""What a build does besides the rows of its relation, in the same transaction, in any warehouse.

    statements before -> the relation -> indexes -> statements after -> comments -> grants

An index is ours if its comment says so. Others are never changed or dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from dagster_models.core.extras import Extras, Index, UserStatement
from dagster_models.core.materializations import AddedTo, Materialization, View
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.util.digests import digest_of
from dagster_models.warehouses.base import Staged, literal, quote, quoted
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import RelationKind

_OURS = "made by dagster-models: "
#: Of the name of an index, before its digest: PostgreSQL takes 63 bytes.
_NAME_BYTES = 50


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index that is there. ``on`` is the relation that it is on, as text."""

    name: str
    comment: str
    on: str

    @property
    def is_ours(self) -> bool:
        return self.comment.startswith(_OURS)


class ExtrasHooks(Protocol):
    """What differs between warehouses.

    ``keeps_indexes``: whether a table that is replaced as a whole keeps its indexes.
    """

    keeps_indexes: ClassVar[bool]

    def make_way(self, relation: Relation, kind: RelationKind) -> None:
        """Drop what has the name and is of another kind, if it could not be replaced once
        something else was written in the transaction."""

    def indexes(self, relation: Relation, names: Collection[str] = ()) -> Sequence[FoundIndex]:
        """Return the indexes of a table, and those in its schema that have one of these names."""

    def put_comment(self, relation: Relation, kind: RelationKind, comment: str) -> Sequence[str]:
        """Let this be the comment of the relation, if comments are not the warehouse's place for
        our marks; "" for none. Return notes."""

    def column_comments(self, relation: Relation) -> Mapping[str, str]:
        """Return the comment of each column that has one."""

    def put_grants(self, relation: Relation, grants: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Let exactly these roles have each of these privileges; return notes of what was taken
        away. Raises WarehouseError for a role that there is not."""


class ExtrasSession(Protocol):
    """The part of a session that is needed here."""

    @property
    def beside(self) -> ExtrasHooks: ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def change(self, sql: str, lines_before: int = 0) -> int: ...

    def count(self, sql: str) -> int: ...

    def take_turn(self, relation: Relation) -> RelationKind | None: ...

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]: ...


def begin(session: ExtrasSession, relation: Relation, extras: Extras, how: Materialization) -> None:
    """Before the relation is built, in the open transaction."""
    _run(session, extras.before)
    if extras.before:
        session.beside.make_way(relation, _relation_kind(how))
    # DuckDB makes no index of a table once its rows were updated in the transaction.
    if extras.indexes and isinstance(how, AddedTo) and session.take_turn(relation) == "table":
        there = {name.lower() for name, _ in session.columns(relation)}
        indexes = [it for it in extras.indexes if there.issuperset(map(str.lower, it.columns))]
        _put_indexes(session, relation, indexes)


def complete(
    session: ExtrasSession, staged: Staged, extras: Extras, how: Materialization
) -> Staged:
    """After the relation was built, in the open transaction."""
    relation, kind = staged.relation, _relation_kind(how)
    has_kept = isinstance(how, AddedTo) or session.beside.keeps_indexes
    if kind == "table" and (extras.indexes or has_kept):
        _put_indexes(session, relation, extras.indexes)
    _run(session, extras.after)
    if extras.after and staged.rows is not None:  # they may have written to it
        staged = replace(staged, rows=session.count(f"SELECT 1 FROM {quoted(relation)}"))
    notes: list[str] = []
    if extras.comment is not None:
        notes += session.beside.put_comment(relation, kind, extras.comment)
    if extras.column_comments is not None:
        notes += _put_column_comments(session, relation, extras.column_comments)
    if extras.grants:
        notes += session.beside.put_grants(relation, extras.grants)
    return replace(staged, comment=extras.comment or "", notes=(*staged.notes, *notes))


def _relation_kind(how: Materialization) -> RelationKind:
    return "view" if isinstance(how, View) else "table"


def removed_comment(of: str, text: str) -> str:
    """The note of a comment that is gone, as no description takes its place."""
    return f"persist_docs: the comment of {of} was removed, as it has no description: {text!r}"


# Statements --------------------------------------------------------------------------------------


def _run(session: ExtrasSession, statements: Sequence[UserStatement]) -> None:
    for statement in statements:
        try:
            session.rows(statement.sql)
        except WarehouseLost:
            raise
        except WarehouseError as error:
            raise _placed(error, statement) from error


def _placed(error: WarehouseError, statement: UserStatement) -> WarehouseError:
    """The error with its line in the file that holds the statement."""
    line = statement.line + (error.line or 1) - 1
    where = f"{statement.path}:{line}: " if statement.path else ""
    return WarehouseError(
        error.kind,
        f"{where}{statement.key}: {error.message}",
        name=error.name,
        line=None if statement.path else line,
        transient=error.transient,
    )


# Indexes -----------------------------------------------------------------------------------------


def _put_indexes(session: ExtrasSession, relation: Relation, indexes: Sequence[Index]) -> None:
    """Let the table have these indexes, and of those that we made no others."""
    wanted = {}
    for index in indexes:
        columns = columns_named(session.columns(relation), index.columns, of="indexes: the query")
        definition = _definition(index, columns)
        wanted[index.name or _name_of(relation, columns, definition)] = (index, definition)
    there = {found.name: found for found in session.beside.indexes(relation, wanted)}
    for name, found in there.items():
        ours = found.is_ours and found.on == str(relation)
        if name in wanted and not ours:
            raise WarehouseError(
                ErrorKind.NOT_KEPT,
                f"indexes: there is an index `{name}` on {found.on} which this model did not make."
                " Nothing was changed: give the model's index another `name`, or drop that one by"
                " hand",
                name="ForeignIndex",
            )
        if ours and found.comment != _OURS + wanted.get(name, (None, ""))[1]:
            session.change(f"DROP INDEX {quoted(replace(relation, name=name))}")
    for name, (index, definition) in wanted.items():
        if name in there and there[name].comment == _OURS + definition:
            continue
        head = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote(name)}"
        session.change(f"{head} ON {quoted(relation)}{definition.removeprefix('UNIQUE')}")
        full = quoted(replace(relation, name=name))
        session.change(f"COMMENT ON INDEX {full} IS {literal(_OURS + definition)}")


def _definition(index: Index, columns: Sequence[str]) -> str:
    """All that the index is, but for its name and its table."""
    unique = "UNIQUE" if index.unique else ""
    using = f" USING {index.type.lower()}" if index.type else ""
    return f"{unique}{using} ({', '.join(map(quote, columns))})"


def _name_of(relation: Relation, columns: Sequence[str], definition: str) -> str:
    readable = "_".join((relation.name, *columns)).encode()[:_NAME_BYTES].decode(errors="ignore")
    return f"{readable}_{digest_of(f'{relation.name} {definition}'.encode())[:8]}"


# Comments ----------------------------------------------------------------------------------------


def _put_column_comments(
    session: ExtrasSession, relation: Relation, comments: Mapping[str, str]
) -> list[str]:
    columns = [name for name, _ in session.columns(relation)]
    wanted = {_column(columns, name): text for name, text in comments.items()}
    there = session.beside.column_comments(relation)
    notes = []
    for column in columns:
        text = wanted.get(column, "")
        if text == there.get(column, ""):
            continue
        said = literal(text) if text else "NULL"
        session.change(f"COMMENT ON COLUMN {quoted(relation)}.{quote(column)} IS {said}")
        if not text:
            notes.append(removed_comment(f"the column {column}", there[column]))
    return notes


def _column(columns: Sequence[str], name: str) -> str:
    """The column as the relation spells it: nobody writes quotes in YAML."""
    if name in columns:
        return name
    return next((column for column in columns if column.lower() == name.lower()), name)
