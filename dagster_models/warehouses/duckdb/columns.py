"""What a materialization asks of DuckDB about the columns of a table that it adds to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.duckdb.leftovers import DuckDBLeftovers
from dagster_models.warehouses.materializations.hooks import Merging, Unwritten

#: What DuckDB calls an index or a constraint that depends on a column.
_IN_THE_WAY = ("CatalogException", "DependencyException")

#: Types of which values are equal that are shown otherwise: 0.0 and -0.0, a month and 30 days, and
#: texts of a collation; alone, and in a struct, list, map or union.
_EQUAL_AND_NOT_THE_SAME = re.compile(r"\b(INTERVAL|FLOAT|DOUBLE|VARCHAR|VARIANT)\b")


#: Of these types an UPDATE leaves values that are equal to the new ones (measured: 1.5.6, 2.0.1).
#: It deletes and inserts rows that have lists or maps.
_LEFT = re.compile(
    r"(?!MAP\b)(?!VARCHAR\Z).*\b(INTERVAL|FLOAT|DOUBLE|VARCHAR|VARIANT)\b.*(?<!\])\Z"
)
#: Another value, of which the new one is no equal. In a struct, nothing but a value of each field
#: would be one.
_MEANWHILE = {
    "INTERVAL": "t.{} + INTERVAL '1 day'",
    "FLOAT": "CAST(1 AS FLOAT)",
    "DOUBLE": "CAST(1 AS DOUBLE)",
}


def _differs(column: str, type_: str) -> str:
    """The condition that one column differs between the rows t and n."""
    if type_ == "VARCHAR":  # its bytes, whatever its collation
        return f"encode(t.{column}) IS DISTINCT FROM encode(n.{column})"
    unequal = f"t.{column} IS DISTINCT FROM n.{column}"
    if type_ in ("FLOAT", "DOUBLE"):  # as text it takes three times as long
        return f"{unequal} OR signbit(t.{column}) IS DISTINCT FROM signbit(n.{column})"
    if _EQUAL_AND_NOT_THE_SAME.search(type_):
        text = "CAST({}.{} AS VARCHAR) COLLATE C"
        shown = (text.format(row, column) for row in "tn")
        return f"{unequal} OR {' IS DISTINCT FROM '.join(shown)}"
    return unequal


def _unwritten(column: str, type_: str) -> Unwritten:
    equal = f"t.{column} IS NOT DISTINCT FROM n.{column} AND ({_differs(column, type_)})"
    return Unwritten(column, equal, _MEANWHILE.get(type_, "").format(column))


class DuckDBColumns(DuckDBLeftovers):
    """Adds to a cursor what tables that are added to need."""

    def row_count(self, relation: Relation) -> int | None:
        return int(self._run(f"SELECT count(*) FROM {quoted(relation)}")[0][0])

    def differs(self, relation: Relation, columns: Sequence[str]) -> str:
        types = {self.folded(quote(name)): type_ for name, type_ in self.columns(relation)}
        return " OR ".join(_differs(it, types[self.folded(it)]) for it in columns)

    def respelled(self, relation: Relation, keys: Sequence[str]) -> str:
        types = {self.folded(quote(name)): type_ for name, type_ in self.columns(relation)}
        return self._respelled(types, keys)

    def _respelled(self, types: Mapping[str, str], keys: Sequence[str]) -> str:
        """``types``: those of the table's columns, by their folded and quoted names."""
        spelled = [(key, types[self.folded(key)]) for key in keys]
        return " OR ".join(
            _differs(key, type_) for key, type_ in spelled if _EQUAL_AND_NOT_THE_SAME.search(type_)
        )

    def merging(
        self, relation: Relation, staged: Relation, keys: Sequence[str], others: Sequence[str]
    ) -> Merging:
        described = self._run(f"DESCRIBE {quoted(relation)}")
        types = {self.folded(quote(name)): str(type_) for name, type_, *_ in described}
        # Measured: to update 50,000 of 5 million rows, each 100th, takes ten times as long. But the
        # new rows must have all columns, and a constraint may meet the old row and the new one, or
        # others refer to it.
        rewrites = (
            types.keys() == set(map(self.folded, (*keys, *others)))
            and '"rowid"' not in types
            and not any(key for _, _, _, key, *_ in described)
            and not self._has_index(relation)
        )
        typed = [(it, types[self.folded(it)]) for it in others]
        differs = " OR ".join(_differs(it, type_) for it, type_ in typed)
        left = () if rewrites else tuple(_unwritten(*it) for it in typed if _LEFT.match(it[1]))
        # No catalog says which column has a collation, but a union of columns has that of any.
        source, listed = "", ", ".join(keys)
        if any("VARCHAR" in types[self.folded(key)] for key in keys):
            source = (
                f"(SELECT {listed} FROM {quoted(staged)} UNION ALL"
                f" SELECT {listed} FROM {quoted(relation)} WHERE false) AS staged"
            )
        return Merging(differs, self._respelled(types, keys), rewrites, source, left)

    def folded(self, name: str) -> str:
        return name.lower()

    def has_default(self, relation: Relation, column: str) -> bool:
        catalog = literal(relation.catalog or self._catalog)
        rows = self._run(
            # DuckLake writes NULL for a column without one.
            "SELECT coalesce(column_default, 'NULL') <> 'NULL' FROM duckdb_columns()"
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
