"""What a build that writes rows of a table where they are would do besides."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb.text import literal

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.statements import MariaStatements

#: What a foreign key does to the rows of its own table.
_EFFECTS = "('CASCADE', 'SET NULL', 'SET DEFAULT')"


def refuse_effects(
    session: MariaStatements, relation: Relation, *, deletes: bool, updates: Collection[str]
) -> None:
    """Raise WarehouseError if rows of other tables would change with rows of this one that are
    deleted and inserted anew, or with these columns; or if nothing could be rolled back."""
    where = f"table_schema = {literal(relation.schema)} AND table_name = {literal(relation.name)}"
    engine = session.rows(f"SELECT engine FROM information_schema.tables WHERE {where}")
    if engine and engine[0][0] != "InnoDB":
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{relation} is a table of the engine {engine[0][0]}, which has no transactions, so a"
            " build that fails would leave half of its rows. Nothing was changed: alter it to"
            " InnoDB, or build the model once in full (`full_refresh`)",
            name="NoTransactions",
        )
    keys = session.rows(
        "SELECT k.table_schema, k.table_name, k.constraint_name, k.referenced_column_name,"
        f" r.delete_rule IN {_EFFECTS}, r.update_rule IN {_EFFECTS}"
        " FROM information_schema.key_column_usage AS k"
        " JOIN information_schema.referential_constraints AS r"
        " ON r.constraint_schema = k.constraint_schema"
        " AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name"
        f" WHERE k.referenced_table_schema = {literal(relation.schema)}"
        f" AND k.referenced_table_name = {literal(relation.name)}"
    )
    written = {column.lower() for column in updates}
    for schema, table, name, column, on_delete, on_update in keys:
        if (deletes and on_delete) or (on_update and column.lower() in written):
            raise WarehouseError(
                ErrorKind.NOT_KEPT,
                f"rows of {schema}.{table} would be changed along with those of {relation}, by its"
                f" foreign key {name}. Nothing was changed: alter the key, or use another strategy",
                name="OtherRows",
            )


def triggers_of(session: MariaStatements, relation: Relation) -> list[str]:
    rows = session.rows(
        "SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema ="
        f" {literal(relation.schema)} AND event_object_table = {literal(relation.name)}"
    )
    return [name for (name,) in rows]


def index_names(session: MariaStatements, relation: Relation) -> list[str]:
    """The names of a table's indexes, in lower case."""
    rows = session.rows(
        "SELECT DISTINCT lower(index_name) FROM information_schema.statistics WHERE table_schema ="
        f" {literal(relation.schema)} AND table_name = {literal(relation.name)}"
    )
    return [name for (name,) in rows]


def allow_nulls(session: MariaStatements, relation: Relation) -> None:
    """Let each column of a table that was made of a query be NULL."""
    found = session.rows(
        "SELECT column_name, column_type, character_set_name, collation_name"
        " FROM information_schema.columns WHERE is_nullable = 'NO' AND table_schema ="
        f" {literal(relation.schema)} AND table_name = {literal(relation.name)}"
        " ORDER BY ordinal_position"
    )
    clauses = []
    for name, type_, charset, collation in found:
        words = f" CHARACTER SET {charset} COLLATE {collation}" if charset else ""
        clauses.append(f"MODIFY COLUMN {quote(name)} {type_}{words} NULL")
    if clauses:
        session.change(f"ALTER TABLE {quoted(relation)} {', '.join(clauses)}")
