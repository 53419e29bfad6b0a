"""A function of SQL: a macro of DuckDB, a function of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from dagster_models.core.materializations import Function
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged, quote
from dagster_models.warehouses.materializations.hooks import Hooks


def build(session: Hooks, relation: Relation, how: Function, content: Content) -> Staged:
    """Build it. Raises WarehouseError for anything but a query, and if a relation has the name: a
    function would stand beside it, and the relation would keep its old rows."""
    if not isinstance(content, Query):
        raise no_query(relation)
    if session.take_turn(relation) is not None:
        raise in_the_way(relation)
    session.replace_function(relation, how, content.sql)
    return Staged(relation, None, is_function=True)


def no_query(relation: Relation) -> WarehouseError:
    return WarehouseError(ErrorKind.INVALID_REQUEST, f"the function {relation} needs a query")


def in_the_way(relation: Relation) -> WarehouseError:
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{relation} is a relation, which would stay beside the function with its old rows: give"
        " the model another name (alias), or drop or rename the relation by hand",
        name="WrongObjectType",
    )


def body(how: Function, sql: str, quote: Callable[[str], str] = quote) -> tuple[str, str]:
    """What stands before and behind the user's query, so that it returns what the header says:
    columns by name, and types by a cast. It begins on the second line. *quote* writes a name."""
    if how.is_table:
        columns = ", ".join(
            f"CAST({quote(c)} AS {type_}) AS {quote(c)}" for c, type_ in how.returns
        )
        return f"SELECT {columns} FROM (\n", "\n) AS model"
    return "CAST((\n", f"\n) AS {how.returns[0][1]})"
