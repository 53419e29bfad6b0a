"""Whether what Spark computes or holds is the same as before, and as its contract says."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_models.core.contracts import Contract, breaches, table_of
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.digests import digest_of
from dagster_models.warehouses.spark.text import quote, quoted

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


def fingerprint(session: SparkReading, relation: Relation, columns: Columns) -> str:
    return contents(session, relation, columns)


def contents(session: SparkReading, relation: Relation, columns: Columns) -> str:
    """Of texts, each with its length before it: a hash of Spark's own may change."""
    texts = [f"CAST({quote(name)} AS STRING)" for name, _ in columns]
    parts = ", ".join(f"coalesce(concat(length({it}), ':', {it}), 'NULL'), ','" for it in texts)
    row = f"md5(concat({parts}))"
    halves = ", ".join(
        f"sum(CAST(conv(substr({row}, {start}, 15), 16, 10) AS DECIMAL(38, 0)))"
        for start in (1, 17)
    )
    found = session.rows(f"SELECT count(*), {halves} FROM {quoted(relation)}")
    return digest_of(repr((tuple(columns), [*map(str, found[0])])).encode())[:32]


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
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"the contract of {relation} names a type that the warehouse refuses: {error.message}",
            name="ContractType",
        ) from error
    wrong = breaches(contract, [type_ for _, type_ in normal], session.columns(relation), own)
    if wrong:
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"{relation} breaks its contract. Nothing was published:\n{table_of(wrong)}\n"
            "Cast or name the columns in the query as the contract says, or change `columns:`",
            name="ContractBroken",
        )
