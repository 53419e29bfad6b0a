"""Putting a function in the place of another one.

CREATE OR REPLACE keeps what hangs on a function, and takes neither other names of arguments nor
another type of what it returns; with other types of arguments it makes a second function. Then the
old one is dropped, with the views that call it, and these are created again; or the change is
refused.
"""

from __future__ import annotations

from collections.abc import Callable

from dagster_models.core.materializations import Function, argument_name
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.materializations.function import body
from dagster_models.warehouses.postgres.catalog import Runner
from dagster_models.warehouses.postgres.errors import sqlstate
from dagster_models.warehouses.postgres.remake import remake_function
from dagster_models.warehouses.postgres.statements import one_query

#: SQLSTATE invalid_function_definition: what CREATE OR REPLACE cannot change.
_OTHER_FORM = "42P13"

_FOUND = """
SELECT p.oid::bigint, p.prokind::text, p.oid::regprocedure::text,
       p.proargtypes::oid[] = {types}
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE format('%%I.%%I', n.nspname, p.proname) =
      (SELECT string_agg(quote_ident(part), '.') FROM unnest(parse_ident(%s)) AS part)
"""


def replace_function(session: Runner, relation: Relation, how: Function, sql: str) -> None:
    """Put a function of a query in place of the one that has its name."""
    sql, name = one_query(sql), quoted(relation)
    found = session.run(_FOUND.format(types=_types(how)), [name])
    if len(found) > 1 or any(kind != "f" for _, kind, _, _ in found):
        there = ", ".join(signature for _, _, signature, _ in found)
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{name} is to be one function, and there are others of this name: {there}. A call"
            " could mean any of them: drop them, or give the model another name (alias)",
            name="Overloaded",
        )
    make = _maker(session, name, how, sql)
    if not found:
        make()
        return
    ((oid, _, signature, same_types),) = found
    if same_types:
        session.run("SAVEPOINT dagster_models")
        try:
            make()
            return
        except WarehouseError as error:
            if sqlstate(error.__cause__) != _OTHER_FORM:
                raise
            session.run("ROLLBACK TO SAVEPOINT dagster_models")
    remake_function(session, name, oid, signature, make)


def _types(how: Function) -> str:
    listed = ", ".join(f"{literal(type_)}::regtype::oid" for _, type_ in how.arguments)
    return f"ARRAY[{listed}]::oid[]".replace("%", "%%")


def _maker(session: Runner, name: str, how: Function, sql: str) -> Callable[[], None]:
    before, behind = body(how, sql)
    if how.is_table:
        columns = ", ".join(f"{quote(column)} {type_}" for column, type_ in how.returns)
        returns = f"TABLE ({columns})"
    else:
        returns, before = how.returns[0][1], f"SELECT {before}"
    tag = "$dagster_models$"
    while tag in sql:
        tag = f"{tag[:-1]}_$"
    listed = ", ".join(f"{quote(argument_name(of))} {type_}" for of, type_ in how.arguments)
    head = f"CREATE OR REPLACE FUNCTION {name}({listed}) RETURNS {returns}"
    text = f"{head} LANGUAGE sql STABLE AS {tag}{before}{sql}{behind}{tag}"

    def make() -> None:
        session.run(text, lines_before=1, single=True)

    return make
