"""What MariaDB cannot do, or not without losing something, and the error that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.mariadb.target import why_no_name

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.statements import MariaStatements


def no_transactions(what: str) -> WarehouseError:
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{what}, and MariaDB commits each statement that makes or changes a table",
        name="NoTransactions",
    )


def float_of_two() -> WarehouseError:
    what = "two columns have one name, and one is a FLOAT: give each its own name"
    return WarehouseError(ErrorKind.BAD_COLUMN, what)


def refuse_name(session: MariaStatements, relation: Relation) -> None:
    """Raise WarehouseError for a name that the server would take for another one, or not take."""
    for name in (relation.schema, relation.name):
        why = why_no_name(name)
        if not why and session.folds_names and name != name.lower():
            why = (
                "this server does not tell capital letters in names from small ones"
                " (lower_case_table_names): write it in small letters"
            )
        if why:
            raise WarehouseError(ErrorKind.INVALID_NAME, f"{name!r} cannot be a name: {why}")


def refuse_to_break_views(session: MariaStatements, relation: Relation) -> None:
    """The server would let them break."""
    rows = session.rows(
        "SELECT table_schema, table_name, view_definition FROM information_schema.views"
    )
    own = (relation.schema, relation.name)
    for schema, name, definition in rows:
        if quoted(relation) in (definition or "") and (schema, name) != own:
            what = f"{relation} is kept: the view {schema}.{name} reads it"
            raise WarehouseError(ErrorKind.NOT_KEPT, what)
