"""Whether what DuckDB computes or holds is the same as before."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from dagster_models.core.model import Relation
from dagster_models.util.digests import digest_of
from dagster_models.warehouses.base import literal, quote, quoted

Run: TypeAlias = Callable[[str], Any]

#: Of the functions that return tables, those that read nothing but their arguments. For the others
#: DuckDB does not say it: most of them read files or the catalog.
_TABLES = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
#: DuckDB calls these consistent, and they ask for the time, the session or a sample of the rows.
_ASKING = frozenset(
    {
        *("age", "current_localtime", "current_localtimestamp", "current_setting", "getvariable"),
        *("reservoir_quantile", "version"),
    }
)
#: How the names of DuckDB's own macros begin that do: for macros it does not say it.
_ASKING_MACROS = (
    *("ago", "col_description", "current_", "duckdb_", "format_pg_type", "get_block_size", "has_"),
    *("inet_", "map_to_pg_oid", "obj_description", "pg_", "session_", "shobj_description", "user"),
)
_ANOTHER = "it may return another value each time"


def fingerprint(run: Run, relation: Relation, columns: Collection[tuple[str, str]]) -> str:
    # 0.0 and -0.0 have one hash, and are two values.
    values = [
        f"CAST({quote(name)} AS VARCHAR)" if type_ in ("DOUBLE", "FLOAT") else quote(name)
        for name, type_ in columns
    ]
    row = f"hash({', '.join(values)})"
    found = run(f"SELECT count(*), sum({row}), bit_xor({row}) FROM {quoted(relation)}")
    return digest_of(repr((tuple(columns), found)).encode())[:32]


def contents(run: Run, relation: Relation, columns: Collection[tuple[str, str]]) -> str:
    """Of texts, each with its length before it: the hashes of another DuckDB may be others."""
    # The text of a moment is not to depend on the session's time zone.
    values = (
        f"{quote(name)} AT TIME ZONE 'UTC'" if type_ == "TIMESTAMP WITH TIME ZONE" else quote(name)
        for name, type_ in columns
    )
    texts = [f"CAST({value} AS VARCHAR)" for value in values]
    row = "concat({})".format(", ".join(f"length({it}), ':', {it}, ','" for it in texts))
    found = run(
        f"SELECT count(*), sum(md5_number_lower({row})), sum(md5_number_upper({row}))"
        f" FROM {quoted(relation)}"
    )
    return digest_of(repr((tuple(columns), found)).encode())[:32]


def unrepeatable(run: Run, functions: Collection[str]) -> dict[str, str]:
    """See ``WarehouseSession.unrepeatable``."""
    names = ", ".join(map(literal, sorted(functions)))
    rows = run(
        "SELECT DISTINCT lower(function_name), function_type, stability, internal"
        f" FROM duckdb_functions() WHERE lower(function_name) IN ({names})"
    )
    reasons = {name: _why_not(name, *rest) for name, *rest in rows}
    return {name: why for name, why in sorted(reasons.items()) if why}


def _why_not(name: str, kind: str, stability: str | None, internal: bool) -> str:
    if kind in ("macro", "table_macro"):
        if not internal:
            return "it is a macro, whose text may change"
        return _ANOTHER if name.startswith(_ASKING_MACROS) else ""
    if kind in ("table", "pragma"):
        return "" if name in _TABLES else "it may read files or what the project does not know"
    return "" if stability == "CONSISTENT" and name not in _ASKING else _ANOTHER
