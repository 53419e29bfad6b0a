"""The macro that a function of the project is in DuckDB."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dagster_models.core.materializations import Function, argument_name
from dagster_models.core.model import Relation
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.duckdb.cursor import DuckDBCursor
from dagster_models.warehouses.duckdb.errors import NO_LINES
from dagster_models.warehouses.materializations.function import body


def replace_function(session: DuckDBCursor, relation: Relation, how: Function, sql: str) -> None:
    """Put a macro in place of those that have its name. A macro of a value and one of a table may
    have one name, and REPLACE replaces those of its own sort."""
    name = quoted(relation)
    other, own = ("MACRO", "TABLE ") if how.is_table else ("MACRO TABLE", "")
    before, behind = body(how, sql)
    arguments = ", ".join(quote(argument_name(name)) for name, _ in how.arguments)
    head = f"CREATE OR REPLACE MACRO {name}({arguments}) AS {own}{before}"
    text = f"{head}{sql}{behind}"
    session.one_statement(text, 1)
    session.change(f"DROP {other} IF EXISTS {name}", NO_LINES)
    session.change(text, 1)


@contextlib.contextmanager
def explained_in_a_view() -> Iterator[None]:
    """Add to an error of DuckDB 2 what to do: it drops the catalog from the text of a view, and
    then refuses what is left."""
    try:
        yield
    except WarehouseError as error:
        if "Ambiguous reference to catalog or schema" in error.message:
            error.message += (
                "\nDuckDB 2 keeps no view that calls a function of a schema with the name of the"
                " database file: let the model be a table, or give the schema or the file another"
                " name."
            )
        raise
