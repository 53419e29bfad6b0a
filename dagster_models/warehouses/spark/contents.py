"""Whether what Spark computes or holds is the same as before, and as its contract says."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_models.core.contracts import Contract
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import digest_of_rows, quote
from dagster_models.warehouses.contracts import refuse_columns, unknown_type

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.reading import SparkReading

Columns = Collection[tuple[str, str]]

#: Functions that return the same for the same arguments, in any session of ours.
_REPEATABLE = frozenset(
    {
        *("abs", "any_value", "array", "array_contains", "avg", "bool_and", "bool_or", "cast"),
        *("ceil", "coalesce", "concat", "concat_ws", "count", "date_add", "date_sub", "date_trunc"),
        *("datediff", "day", "dayofweek", "dense_rank", "exp", "explode", "extract", "floor"),
        *("greatest", "hour", "if", "ifnull", "initcap", "lag", "lead", "least", "length", "like"),
        *("ln", "log", "lower", "lpad", "ltrim", "max", "min", "minute", "mod", "month", "nullif"),
        *("nvl", "percentile", "percentile_cont", "pow", "power", "quarter", "range", "rank"),
        *("regexp_extract", "regexp_replace", "replace", "reverse", "round", "row_number", "rpad"),
        *("rtrim", "second", "sequence", "sign", "split", "sqrt", "stddev", "struct", "substr"),
        *("substring", "sum", "to_date", "trim", "trunc", "upper", "variance", "weekofyear"),
        *("year",),
    }
)


def contents(session: SparkReading, relation: Relation, columns: Columns) -> str:
    texts = [f"CAST({quote(name)} AS STRING)" for name, _ in columns]
    return digest_of_rows(session.rows, relation, columns, texts)


def unrepeatable(functions: Collection[str]) -> dict[str, str]:
    """See ``WarehouseSession.unrepeatable``. No catalog of Spark says it, so what is not known to
    be repeatable is not."""
    why = "it is not known to return the same value for the same arguments in Spark"
    return {name: why for name in sorted(functions) if name not in _REPEATABLE}


def refuse_breach(
    session: SparkReading, relation: Relation, contract: Contract, own: Collection[str] = ()
) -> None:
    """Raise WarehouseError if the columns of the staged relation are not those of its contract.
    *own*: those that its kind adds, which it may leave out."""
    listed = ",\n".join(
        f"CAST(NULL AS {it.type}) AS c{at}" for at, it in enumerate(contract.columns)
    )
    try:
        normal = session.server.columns(f"SELECT\n{listed}", session.tag)
    except WarehouseError as error:
        if error.kind is ErrorKind.INTERRUPTED or error.transient:
            raise
        raise unknown_type(relation, error) from error
    types = [type_ for _, type_ in normal]
    refuse_columns(relation, contract, types, session.columns(relation), own)
