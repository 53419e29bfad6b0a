"""What a materialization asks of DuckDB about the columns of a table that it adds to."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quoted
from dagster_models.warehouses.duckdb.leftovers import DuckDBLeftovers

#: What DuckDB calls an index or a constraint that depends on a column.
_IN_THE_WAY = ("CatalogException", "DependencyException")


class DuckDBColumns(DuckDBLeftovers):
    """Adds to a cursor what tables that are added to need."""

    def row_count(self, relation: Relation) -> int | None:
        return int(self._run(f"SELECT count(*) FROM {quoted(relation)}")[0][0])

    def differs(self, columns: Sequence[str]) -> str:
        return " OR ".join(f"t.{column} IS DISTINCT FROM n.{column}" for column in columns)

    def rewrites_rows(self, relation: Relation, columns: Sequence[str]) -> bool:
        # Measured: to update 50,000 of 5 million rows, each 100th, takes ten times as long. But a
        # constraint may meet the old row and the new one, or others refer to it.
        found = self._run(f"DESCRIBE {quoted(relation)}")
        names = {self.folded(name) for name, *_ in found}
        if names != set(map(self.folded, columns)) or "rowid" in names:
            return False
        return not any(key for _, _, _, key, *_ in found) and not self._has_index(relation)

    def folded(self, name: str) -> str:
        return name.lower()

    def has_default(self, relation: Relation, column: str) -> bool:
        catalog = literal(relation.catalog or self._catalog)
        rows = self._run(
            "SELECT column_default IS NOT NULL FROM duckdb_columns()"
            f" WHERE database_name = {catalog} AND column_name = {literal(column)}"
            f" AND lower(schema_name) = lower({literal(relation.schema)})"
            f" AND lower(table_name) = lower({literal(relation.name)})"
        )
        return bool(rows and rows[0][0])

    def _has_index(self, relation: Relation) -> bool:
        catalog = literal(relation.catalog or self._catalog)
        rows = self._run(
            f"SELECT 1 FROM duckdb_indexes() WHERE database_name = {catalog}"
            f" AND lower(schema_name) = lower({literal(relation.schema)})"
            f" AND lower(table_name) = lower({literal(relation.name)}) LIMIT 1"
        )
        return bool(rows)

    def altered(self, column: str, old: str, new: str) -> str:
        return f"CAST(TRY_CAST({column} AS {new}) AS {old}) IS DISTINCT FROM {column}"

    def alter(self, relation: Relation, added: Sequence[str], others: Sequence[str]) -> None:
        working = self._views_of_others(relation) if others else []
        for clause in (*added, *others):
            try:
                self.change(f"ALTER TABLE {quoted(relation)} {clause}")
            except WarehouseError as error:
                if error.name not in _IN_THE_WAY:
                    raise
                why = f"{relation} cannot be changed by {clause}: {error.message.splitlines()[0]}"
                raise _not_kept(why, "drop that index or constraint") from error
        for view in working:
            try:
                self._run(f"SELECT 1 FROM {quoted(view)} LIMIT 0")
            except WarehouseError as error:
                why = (
                    f"the view {view}, which was not built by a model, reads {relation} and does"
                    f" not work with its new columns: {error.message.splitlines()[0]}"
                )
                raise _not_kept(why, "change or drop that view") from error

    def _views_of_others(self, relation: Relation) -> list[Relation]:
        """The views that work, but for those that models build, and will build again."""
        ours = {self.folded(commit.relation) for commit in self.last_proofs()}
        views = self.unprotected_views(relation)
        return [view for view in views if self.folded(str(view)) not in ours]


def _not_kept(why: str, what_to_do: str) -> WarehouseError:
    text = f"{why}. Nothing was changed: {what_to_do} first, by hand"
    return WarehouseError(ErrorKind.NOT_KEPT, text)
