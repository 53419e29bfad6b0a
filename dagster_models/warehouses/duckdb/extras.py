"""What DuckDB shows, and needs, of what a build does besides the rows of its relation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quoted
from dagster_models.warehouses.duckdb.target import DUCKDB
from dagster_models.warehouses.extras import FoundIndex
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.transactional import TransactionalSession


@dataclass(frozen=True, slots=True)
class DuckDBExtras:
    session: TransactionalSession
    catalog: str

    keeps_indexes: ClassVar[bool] = False

    def make_way(self, relation: Relation, kind: RelationKind) -> None:
        # CREATE OR REPLACE takes only a relation of the same kind. That error would end the
        # transaction in DuckDB 2, and with it what was written before.
        found = self.session.take_turn(relation)
        if found is not None and found != kind:
            self.session.change(f"DROP {found} {quoted(relation)}")

    def indexes(self, relation: Relation, names: Collection[str] = ()) -> Sequence[FoundIndex]:
        listed = ", ".join(literal(name.lower()) for name in names)
        named = f" OR lower(index_name) IN ({listed})" if names else ""
        rows = self.session.rows(
            "SELECT index_name, coalesce(comment, ''), schema_name, table_name,"
            f" lower(table_name) = lower({literal(relation.name)}) FROM duckdb_indexes()"
            f" WHERE database_name = {literal(relation.catalog or self.catalog)}"
            f" AND lower(schema_name) = lower({literal(relation.schema)})"
            f" AND (lower(table_name) = lower({literal(relation.name)}){named})"
        )
        return [
            FoundIndex(name, comment, str(relation) if same else f"{schema}.{table}")
            for name, comment, schema, table, same in rows
        ]

    def put_comment(self, relation: Relation, kind: RelationKind, comment: str) -> Sequence[str]:
        """Our mark is put behind it when the relation is published: see ``mark``."""
        return ()

    def column_comments(self, relation: Relation) -> Mapping[str, str]:
        rows = self.session.rows(
            "SELECT column_name, comment FROM duckdb_columns() WHERE comment IS NOT NULL"
            f" AND database_name = {literal(relation.catalog or self.catalog)}"
            f" AND lower(schema_name) = lower({literal(relation.schema)})"
            f" AND lower(table_name) = lower({literal(relation.name)})"
        )
        return dict(rows)

    def put_grants(self, relation: Relation, grants: Mapping[str, Sequence[str]]) -> Sequence[str]:
        why = DUCKDB.lacks["grants"]
        raise WarehouseError(ErrorKind.UNSUPPORTED, f"grants: {relation} can have none: {why}")
