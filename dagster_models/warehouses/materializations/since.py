"""The value of `$since`: how far a table has been built, as a literal that keeps its type.

It is read in the transaction of the build, after the relation's turn was taken, so no row can come
between the reading and the writing. A string would do for a date, and silently lose the offset of
`timestamp '... +02'`: both DuckDB and PostgreSQL read that as a local time.
"""

from __future__ import annotations

from dataclasses import replace

from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.model import Relation
from dagster_models.core.tasks import SINCE
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.materializations.columns import columns_named, columns_of_table
from dagster_models.warehouses.materializations.hooks import Hooks

#: The types whose literal is their own word, in all warehouses.
_WORDS = {
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
_UNSIGNED = {"utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
#: What is less than, or equal to, every value of these types.
_SMALLEST = {
    "tinyint": "-128",
    "smallint": "-32768",
    "integer": "-2147483648",
    "bigint": "-9223372036854775808",
    "hugeint": "-170141183460469231731687303715884105728",
    **dict.fromkeys(("real", "float", "double", "double precision"), "-infinity"),
    **dict.fromkeys(("varchar", "text", "character varying"), ""),
}


def value_of_since(
    session: Hooks, relation: Relation, how: Incremental, query: str, *, whole: bool
) -> str | None:
    """The value as SQL; None if the model has none, or none is known before a first build.

    ``query`` is "" for a Python model.
    """
    since = how.since
    if since is None:
        return None
    if not whole:
        columns = session.columns(relation)
        (name,) = columns_of_table(columns, relation, [since.column], "since")
        type_ = dict(columns)[name]
        largest = f"max({quote(name)})" + (f" - {since.lookback}" if since.lookback else "")
        text = session.rows(
            f"SELECT CAST(CAST({largest} AS {type_}) AS VARCHAR) FROM {quoted(relation)}"
        )[0][0]
        if text is not None:
            return _typed(text, type_)
        return since.begin or _smallest(since, type_)
    if since.begin or not query or SINCE not in query:
        return since.begin or None
    columns = _shape(session, query)
    (name,) = columns_named(columns, [since.column], of="since: the query")
    return _smallest(since, dict(columns)[name])


def _typed(text: str, type_: str) -> str:
    word = _WORDS.get(type_.lower())
    return f"{word} {literal(text)}" if word else f"CAST({literal(text)} AS {type_})"


def _smallest(since: Since, type_: str) -> str:
    plain = type_.lower().partition("(")[0]
    if plain in _UNSIGNED:
        return "-1"  # 0 is a value as any other
    if plain.startswith(("date", "timestamp")):
        return _typed("-infinity", type_)
    if plain in ("decimal", "numeric"):
        return _typed("-infinity", "double precision")
    if plain in _SMALLEST:
        return _typed(_SMALLEST[plain], type_)
    raise WarehouseError(
        ErrorKind.INVALID_INPUT,
        f"there is no smallest value of `{since.column}` ({type_}) with which the first build could"
        " begin: write it, `since: {column: ..., begin: ...}`",
        name="NoFirstValue",
    )


def _shape(session: Hooks, query: str) -> tuple[tuple[str, str], ...]:
    """The columns of the query with NULL for `$since`, without running it."""
    shape = replace(session.staging, name="dagster_models_shape")
    text = query.replace(SINCE, "NULL")
    try:
        session.change(f"CREATE TEMPORARY VIEW {quoted(shape)} AS\n{text}\n", lines_before=1)
    except WarehouseError as error:
        error.message += (
            "\nThis came up while the type of `$since` was looked for, with NULL in its place. If"
            " that is the cause, say where the first build begins: `since: {column: ..., begin:"
            " ...}`"
        )
        raise
    columns = session.columns(shape)
    session.change(f"DROP VIEW {quoted(shape)}")
    return columns
