"""A function of SQL on Spark: published like a view, by one commit in the log of its name.

The commit holds the definition, so the log proves the function, whatever Spark's catalog remembers.
Spark 4 keeps a function of SQL with the schema, in memory or for good; each process of ours puts it
there anew. Another session of the server that has called it may go on with the text that it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_models.core.materializations import Function, argument_name
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations import function
from dagster_models.warehouses.spark.server import Server
from dagster_models.warehouses.spark.text import literal, one_query

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.stages import SparkStages

#: The lines of a statement before the user's query. Spark counts lines of the statement in some
#: errors, and of what it returns in others, so both begin on the same line.
_LINES_BEFORE = 1


def build(session: SparkStages, relation: Relation, how: Function, content: Content) -> Staged:
    """Make the function under a name that only this build has. Raises WarehouseError if the server
    has no functions of SQL, if the query cannot be one, or if a relation has the name."""
    if not isinstance(content, Query):
        raise function.no_query(relation)
    if session.kind_of(relation) is not None:
        raise function.in_the_way(relation)
    session.catalog.refuse_foreign_function(relation)
    stage = session.begin_stage(relation)
    stage.definition, stage.kind = _definition(how, one_query(content.sql)), "function"
    try:
        session.change(creation(stage.name, stage.definition), _LINES_BEFORE)
    except WarehouseError as error:
        if error.kind not in (ErrorKind.UNREACHABLE, ErrorKind.INTERRUPTED):
            _refuse_server(session, stage.name)
        raise
    return Staged(relation, None, is_function=True)


def _definition(how: Function, sql: str) -> str:
    """What follows the name: one line of the types, and then what it returns."""
    listed = ", ".join(f"{quote(argument_name(name))} {type_}" for name, type_ in how.arguments)
    returns = how.returns[0][1]
    if how.is_table:
        columns = ", ".join(f"{quote(column)} {type_}" for column, type_ in how.returns)
        returns = f"TABLE ({columns})"
    before, behind = function.body(how, sql, quote)
    return f"{' '.join(f'({listed}) RETURNS {returns}'.split())}\nRETURN {before}{sql}{behind}"


def creation(name: Relation, definition: str, comment: str = "") -> str:
    """The statement that puts a function in place of the one that has its name."""
    head, _, returned = definition.partition("\n")
    said = f" COMMENT {literal(comment)}" if comment else ""
    return f"CREATE OR REPLACE FUNCTION {quoted(name)}{head}{said} {returned}"


def described(server: Server, name: Relation) -> str | None:
    """What the server says of a function of that name, its comment included; None for none."""
    listed = f"SHOW USER FUNCTIONS IN {quote(name.schema)} LIKE {literal(name.name)}"
    if not server.run(listed).num_rows:
        return None
    rows = server.run(f"DESCRIBE FUNCTION EXTENDED {quoted(name)}").to_pylist()
    return "\n".join(str(value) for row in rows for value in row.values())


def _refuse_server(session: SparkStages, staged: Relation) -> None:
    probe = quoted(Relation(staged.schema, "dagster_models_probe"))
    try:
        session.change(f"CREATE FUNCTION {probe}() RETURNS INT RETURN 1")
    except WarehouseError as error:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            "`materialized: function`: this server makes no functions of SQL, as Spark 4 does."
            f" It says: {error.message}",
            name="NoFunctions",
        ) from error
