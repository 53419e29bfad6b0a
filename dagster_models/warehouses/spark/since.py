"""The value of `$since` as a literal of Spark, which keeps the type of its column."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.model import Relation
from dagster_models.core.since import lookback_misfit
from dagster_models.core.tasks import SINCE
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.materializations.columns import columns_named, columns_of_table
from dagster_models.warehouses.spark.text import literal, one_query

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession

_WORDS = {"date": "DATE", "timestamp": "TIMESTAMP", "timestamp_ntz": "TIMESTAMP_NTZ"}
#: What is less than, or equal to, every value of these types.
_SMALLEST = {
    "date": "DATE '0001-01-01'",
    "timestamp": "TIMESTAMP '0001-01-01 00:00:00'",
    "timestamp_ntz": "TIMESTAMP_NTZ '0001-01-01 00:00:00'",
    "tinyint": "-128",
    "smallint": "-32768",
    "int": "-2147483648",
    "bigint": "-9223372036854775808",
    "float": "CAST('-Infinity' AS FLOAT)",
    "double": "CAST('-Infinity' AS DOUBLE)",
    "string": "''",
}


def value_of_since(
    session: SparkSession, relation: Relation, how: Incremental, query: str, *, whole: bool
) -> str | None:
    """The value as SQL; None if the model has none, or none is known before a first build."""
    since = how.since
    if since is None:
        return None
    if whole:
        if since.begin or not query or SINCE not in query:
            return since.begin or None
        columns = session.server.columns(one_query(query.replace(SINCE, "NULL")), session.tag)
        (name,) = columns_named(columns, [since.column], of="since: the query")
        return _smallest(since, dict(columns)[name])
    columns_there = session.columns(relation)
    (name,) = columns_of_table(columns_there, relation, [since.column], "since")
    type_ = dict(columns_there)[name]
    if why := lookback_misfit(since.lookback, type_):
        raise WarehouseError(
            ErrorKind.INVALID_INPUT,
            f"`lookback` does not fit the column `{name}`, whose type is {type_}: {why}. Nothing"
            " was changed",
            name="BadLookback",
        )
    counts = since.lookback.isdecimal() and type_ != "date"
    lookback = f" - {since.lookback}" if since.lookback and not counts else ""
    text = session.rows(
        f"SELECT CAST(CAST(max({quote(name)}){lookback} AS {type_}) AS STRING)"
        f" FROM {quoted(relation)}"
    )[0][0]
    if text is None:
        return since.begin or _smallest(since, type_)
    if counts:
        return str(Decimal(text) - int(since.lookback))
    return _typed(text, type_)


def _typed(text: str, type_: str) -> str:
    word = _WORDS.get(type_)
    return f"{word} {literal(text)}" if word else f"CAST({literal(text)} AS {type_})"


def _smallest(since: Since, type_: str) -> str:
    if type_ in _SMALLEST:
        return _SMALLEST[type_]
    raise WarehouseError(
        ErrorKind.INVALID_INPUT,
        f"there is no smallest value of `{since.column}` ({type_}) with which the first build could"
        " begin: write it, `since: {column: ..., begin: ...}`",
        name="NoFirstValue",
    )
