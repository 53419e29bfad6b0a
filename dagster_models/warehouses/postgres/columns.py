"""What a materialization asks of PostgreSQL about the columns of a table that it adds to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.warehouses.base import quoted
from dagster_models.warehouses.postgres import in_place, remake
from dagster_models.warehouses.postgres.catalog import compared_type, find
from dagster_models.warehouses.postgres.leftovers import PostgresLeftovers

#: Types without an equality, whose values are compared as texts.
_NOT_COMPARED = re.compile(r"(json|xml|point|polygon|pg_snapshot|txid_snapshot)\b")
#: Types whose cast to text is not what the server prints: it names the netmask.
_PRINTED = re.compile(r"(inet|cidr)\b")
_TEXT = re.compile(r"(text|character varying)\Z")
_SHORTER_TEXT = re.compile(r"(text|character varying(\(\d+\))?)\Z")
#: The rows of a smaller table are counted after each build: that takes less than 0.1 s.
_COUNTED_BYTES = 64 * 1024 * 1024


class PostgresColumns(PostgresLeftovers):
    """Adds to a connection what tables that are added to need."""

    def refuse_effects(self, relation: Relation, *, deletes: bool, updates: Sequence[str]) -> None:
        in_place.refuse_effects(self, quoted(relation), deletes=deletes, updates=updates)

    def delete_counted(self, relation: Relation, where: str, group: str) -> dict[Any, int]:
        if in_place.has_rules(self, quoted(relation)):  # the server takes no WITH then
            return super().delete_counted(relation, where, group)
        deleted = f"DELETE FROM {quoted(relation)} WHERE {where} RETURNING {group} AS part"
        sql = f"WITH gone AS ({deleted}) SELECT part, count(*) FROM gone GROUP BY 1"
        return dict(self.rows(sql))

    def compared_type(self, type_: str) -> str:
        return compared_type(self, type_)

    def differs(self, relation: Relation, columns: Sequence[str]) -> str:
        # As stored: so of json, which has no equality, and where a collation takes A for a.
        old, new = (", ".join(f"{row}.{column}" for column in columns) for row in "tn")
        return f"ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record"

    def has_default(self, relation: Relation, column: str) -> bool:
        rows = self.run(
            "SELECT atthasdef FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            [quoted(relation), column],
        )
        return bool(rows[0][0])

    def address(self, relation: Relation) -> str | None:
        # Tables that inherit are not locked (``take_turn``), so others may write them.
        rows = self.run(
            "SELECT relhassubclass AND relkind <> 'p' FROM pg_class WHERE oid = %s::regclass",
            [quoted(relation)],
        )
        if rows[0][0] or in_place.is_listened_to(self, quoted(relation)):
            return None
        return "ctid"

    def row_count(self, relation: Relation) -> int | None:
        name = quoted(relation)
        size = (
            "SELECT sum(pg_relation_size(oid)) FROM (SELECT %(name)s::regclass::oid AS oid"
            " UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = %(name)s::regclass"
            " UNION SELECT relid FROM pg_partition_tree(%(name)s::regclass)) AS tables"
        )
        if self.run(size, {"name": name})[0][0] > _COUNTED_BYTES:
            return None
        return int(self.run(f"SELECT count(*) FROM {name}")[0][0])

    def fits(self, given: str, table: str) -> bool:
        return _SHORTER_TEXT.match(given) is not None and _TEXT.match(table) is not None

    def altered(self, column: str, old: str, new: str) -> str:
        cast = f"CAST({column} AS {new})"
        if (old, new) == ("json", "jsonb"):
            # It drops blanks, and changes the order of keys; a key that is there twice is lost.
            texts = (f"regexp_replace({it}::text, '\\s', '', 'g')" for it in (cast, column))
            return " <> ".join(f"length({text})" for text in texts)
        back, before = f"CAST({cast} AS {old})", column
        if _NOT_COMPARED.match(old):
            back, before = f"CAST({back} AS text)", f"CAST({before} AS text)"
        changed = f"{back} IS DISTINCT FROM {before}"
        if _PRINTED.match(old) or _PRINTED.match(new):
            changed += f" AND format('%s', {cast}) <> format('%s', {column})"
        return changed

    def alter(self, relation: Relation, added: Sequence[str], others: Sequence[str]) -> None:
        name = quoted(relation)
        if added:
            self.run(f"ALTER TABLE {name} {', '.join(added)}")
        found = find(self, name) if others else None
        if found is not None:
            remake.alter(self, name, found, others)
