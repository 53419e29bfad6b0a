"""The value of `$since`: how far a table has been built, as a literal that keeps its type.

It is read in the transaction of the build, after the relation's turn was taken, so no row can come
between the reading and the writing. A string would do for a date, and silently lose the offset of
`timestamp '... +02'`: both DuckDB and PostgreSQL read that as a local time.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, localcontext

from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.model import Relation
from dagster_models.core.since import lookback_misfit
from dagster_models.core.stand_ins import SINCE
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
_DIGITS = re.compile(r"(?:decimal|numeric)\((\d+),(-?\d+)\)", re.IGNORECASE)
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
        _refuse_lookback(name, type_, lookback_misfit(since.lookback, type_))
        bound = _bound(type_) if since.lookback.isdecimal() else None
        lookback = f" - {since.lookback}" if since.lookback and bound is None else ""
        text = session.rows(
            f"SELECT CAST({_cast(f'max({quote(name)}){lookback}', type_)} AS VARCHAR)"
            f" FROM {quoted(relation)}"
        )[0][0]
        if text is None:
            return since.begin or _smallest(since, type_)
        return _typed(text, type_) if bound is None else _less(text, since, type_, bound)
    if since.begin or not query or SINCE not in query:
        return since.begin or None
    hint = (
        "This came up while the type of `$since` was looked for, with NULL in its place. If that is"
        " the cause, say where the first build begins: `since: {column: ..., begin: ...}`"
    )
    columns = shape(session, query.replace(SINCE, "NULL"), hint)
    (name,) = columns_named(columns, [since.column], of="since: the query")
    return _smallest(since, dict(columns)[name])


def _typed(text: str, type_: str) -> str:
    word = _WORDS.get(type_.lower())
    return f"{word} {literal(text)}" if word else f"CAST({literal(text)} AS {type_})"


def _smallest(since: Since, type_: str) -> str:
    plain = type_.lower().partition("(")[0]
    if plain in _UNSIGNED:
        return "-1"  # 0 is a value as any other
    if plain.startswith(("date", "timestamp")) or type_.lower() == "numeric":
        return _typed("-infinity", type_)
    if plain in ("decimal", "numeric"):
        return _typed(f"{_bound(type_):f}", type_)
    if plain in _SMALLEST:
        return _typed(_SMALLEST[plain], type_)
    raise WarehouseError(
        ErrorKind.INVALID_INPUT,
        f"there is no smallest value of `{since.column}` ({type_}) with which the first build could"
        " begin: write it, `since: {column: ..., begin: ...}`",
        name="NoFirstValue",
    )


def _bound(type_: str) -> Decimal | None:
    """The smallest value of a type of exact numbers; None for other types, or if it has none."""
    plain = type_.lower().partition("(")[0]
    if plain in _UNSIGNED:
        return Decimal(0)
    if found := _DIGITS.search(type_):
        return Decimal((1, (9,) * int(found[1]), -int(found[2])))
    return Decimal(_SMALLEST[plain]) if plain.endswith("int") or plain == "integer" else None


def _less(text: str, since: Since, type_: str, bound: Decimal) -> str:
    """A number less the lookback: not in SQL, where a small type could not hold it."""
    with localcontext() as context:
        context.prec = 100
        value = Decimal(text) - int(since.lookback)
        is_less = value.is_finite() and value < bound
        return _smallest(since, type_) if is_less else _typed(f"{value:f}", type_)


def refuse_misfit(session: Hooks, relation: Relation, since: Since | None) -> None:
    """Raise WarehouseError if the next build, which will be an increment, could not read the value
    of `$since` from the table."""
    if since is None:
        return
    columns = session.columns(relation)
    (name,) = columns_named(columns, [since.column], of="since: the query")
    type_ = dict(columns)[name]
    why = lookback_misfit(since.lookback, type_)
    if since.lookback and not why:
        try:
            session.rows(
                f"SELECT {_cast(f'max({quote(name)}) - {since.lookback}', type_)}"
                f" FROM {quoted(relation)} WHERE 1 = 0"
            )
        except WarehouseError as error:
            if error.kind not in (ErrorKind.BAD_COLUMN, ErrorKind.BAD_VALUE):
                raise
            why = f"{error.message.splitlines()[0]}: delete `lookback`, or cast the column"
    _refuse_lookback(name, type_, why)


def _refuse_lookback(column: str, type_: str, why: str) -> None:
    if why:
        raise WarehouseError(
            ErrorKind.INVALID_INPUT,
            f"`lookback` does not fit the column `{column}`, whose type is {type_}: {why}. Nothing"
            " was changed",
            name="BadLookback",
        )


def _cast(expression: str, type_: str) -> str:
    return f"CAST({expression} AS {type_})"


def shape(session: Hooks, query: str, hint: str = "") -> tuple[tuple[str, str], ...]:
    """The columns of a query, without running it. *hint* ends the message of an error."""
    name = replace(session.staging, name="dagster_models_shape")
    try:
        session.change(f"CREATE TEMPORARY VIEW {quoted(name)} AS\n{query}\n", lines_before=1)
    except WarehouseError as error:
        error.message += f"\n{hint}" if hint else ""
        raise
    columns = session.columns(name)
    session.change(f"DROP VIEW {quoted(name)}")
    return columns
