"""Whether what MariaDB computes or holds is the same as before, and as its contract says."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_models.core.contracts import Contract
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import digest_of_rows, quote, quoted
from dagster_models.warehouses.contracts import refuse_columns, unknown_type

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.reading import MariaReading

Columns = Collection[tuple[str, str]]

#: Functions that return the same for the same arguments, in any session of ours.
_REPEATABLE = frozenset(
    {
        *("abs", "avg", "bit_and", "bit_or", "cast", "ceil", "ceiling", "char_length", "coalesce"),
        *("concat", "concat_ws", "conv", "convert", "count", "crc32", "cume_dist", "date"),
        *("date_add", "date_sub", "datediff", "day", "dayofmonth", "dayofweek", "dayofyear"),
        *("dense_rank", "elt", "exp", "extract", "field", "first_value", "floor", "greatest"),
        *("hex", "hour", "if", "ifnull", "instr", "json_extract", "json_object", "json_value"),
        *("lag", "last_value", "lead", "least", "left", "length", "ln", "locate", "log", "log10"),
        *("log2", "lower", "lpad", "ltrim", "max", "md5", "min", "minute", "mod", "month"),
        *("nth_value", "ntile", "nullif", "percent_rank", "pow", "power", "quarter", "rank"),
        *("regexp_replace", "regexp_substr", "replace", "reverse", "right", "round", "row_number"),
        *("rpad", "rtrim", "second", "sha1", "sha2", "sign", "sqrt", "std", "stddev", "substr"),
        *("substring", "sum", "timestampdiff", "trim", "truncate", "upper", "var_pop", "variance"),
        *("week", "weekday", "year"),
    }
)
_BINARY = re.compile(r"bit|(?:var)?binary|\w*blob|geometry|point|polygon")


def contents(session: MariaReading, relation: Relation, columns: Columns) -> str:
    texts = [_as_text(name, type_) for name, type_ in columns]
    return digest_of_rows(session.rows, relation, columns, texts)


def _as_text(name: str, type_: str) -> str:
    if _BINARY.match(type_):
        return f"hex({quote(name)})"
    # A FLOAT is written with six digits.
    value = f"CAST({quote(name)} AS DOUBLE)" if type_.startswith("float") else quote(name)
    return f"CAST({value} AS CHAR CHARACTER SET utf8mb4)"


def unrepeatable(functions: Collection[str]) -> dict[str, str]:
    """See ``WarehouseSession.unrepeatable``. What is not known to be repeatable is not."""
    why = "it is not known to return the same value for the same arguments in MariaDB"
    return {name: why for name in sorted(functions) if name not in _REPEATABLE}


def refuse_breach(
    session: MariaReading, relation: Relation, contract: Contract, own: Collection[str] = ()
) -> None:
    """Raise WarehouseError if the columns of the staged relation are not those of its contract.
    *own*: those that its kind adds, which it may leave out."""
    name = quoted(Relation(session.staged_name(relation).schema, "dagster_models_contract"))
    listed = ",\n".join(f"c{at} {it.type}" for at, it in enumerate(contract.columns))
    try:
        session.change(f"CREATE TEMPORARY TABLE {name} (\n{listed})")
    except WarehouseError as error:
        if error.kind is ErrorKind.INTERRUPTED or error.transient:
            raise
        raise unknown_type(relation, error) from error
    types = [type_ for _, type_ in session.columns_of(name)]
    session.change(f"DROP TEMPORARY TABLE {name}")
    refuse_columns(relation, contract, types, session.columns(relation), own)
