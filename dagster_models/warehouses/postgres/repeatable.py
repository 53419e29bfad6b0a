"""Whether what PostgreSQL computes or holds is the same as before."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from dagster_models.core.model import Relation
from dagster_models.util.digests import digest_of
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.postgres.catalog import Runner

#: PostgreSQL calls these stable, and not immutable, because they depend on settings of the session,
#: such as TimeZone, which are the same in each of ours. It also calls `now()` stable, so any other
#: stable function counts as one that asks for the time or for what is in the database.
_BY_SETTINGS = frozenset(
    {
        *("array_to_json", "array_to_string", "concat", "concat_ws", "convert", "convert_from"),
        *("convert_to", "date", "date_add", "date_part", "date_subtract", "date_trunc"),
        *("enum_first", "enum_last", "enum_range", "extract", "format", "generate_series"),
        *("json_agg", "json_agg_strict", "json_build_array", "json_build_object"),
        *("json_object_agg", "json_populate_record", "json_populate_recordset", "json_to_record"),
        *("json_to_recordset", "jsonb_agg", "jsonb_agg_strict", "jsonb_build_array"),
        *("jsonb_build_object", "jsonb_object_agg", "jsonb_populate_record"),
        *("jsonb_populate_recordset", "jsonb_to_record", "jsonb_to_recordset", "length"),
        *("make_timestamptz", "numeric", "overlaps", "quote_literal", "quote_nullable"),
        *("row_to_json", "time", "timestamp", "timestamptz", "timetz", "timezone", "to_char"),
        *("to_date", "to_json", "to_jsonb", "to_number", "to_timestamp", "to_tsquery"),
        *("to_tsvector",),
    }
)


_MOMENT = re.compile(r"timestamp(\(\d\))? with time zone")


def fingerprint(session: Runner, relation: Relation, columns: Collection[tuple[str, str]]) -> str:
    return _digest(session, relation, columns, [f"t.{quote(name)}" for name, _ in columns])


def contents(session: Runner, relation: Relation, columns: Collection[tuple[str, str]]) -> str:
    # The hashes of text stay, as partitions of tables rest on them. The text of a moment is not to
    # depend on the session's time zone.
    values = (
        f"t.{quote(name)} AT TIME ZONE 'UTC'" if _MOMENT.fullmatch(type_) else f"t.{quote(name)}"
        for name, type_ in columns
    )
    return _digest(session, relation, columns, values)


def _digest(
    session: Runner,
    relation: Relation,
    columns: Collection[tuple[str, str]],
    values: Iterable[str],
) -> str:
    # As text: not every type has a hash.
    row = f"ROW({', '.join(values)})::text"
    rows = session.run(
        f"SELECT count(*), sum(hashtextextended({row}, 0)::numeric),"
        f" sum(hashtextextended({row}, 1)::numeric) FROM {quoted(relation)} AS t"
    )
    return digest_of(repr((tuple(columns), [*map(str, rows[0])])).encode())[:32]


def unrepeatable(session: Runner, functions: Collection[str]) -> dict[str, str]:
    """See ``WarehouseSession.unrepeatable``."""
    rows = session.run(
        "SELECT p.proname::text, n.nspname::text, p.provolatile::text FROM pg_proc AS p"
        " JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.proname = ANY(%s)"
        " ORDER BY 1, 2, 3",
        [sorted(functions)],
    )
    reasons = ((name, _why_not(*row)) for row in rows for name in row[:1])
    return {name: why for name, why in reasons if why}


def _why_not(name: str, schema: str, volatility: str) -> str:
    if schema != "pg_catalog":
        return f"{schema}.{name} is no function of PostgreSQL's own, so its text may change"
    if volatility == "i" or (volatility == "s" and name in _BY_SETTINGS):
        return ""
    return "it may return another value each time"
