"""target/catalog.json, which `dbt docs generate` writes: the columns of each relation, as the
warehouse had them then. https://schemas.getdbt.com/dbt/catalog/v1.json is its form.

Names and their order are what `adapter.get_columns_in_relation()` of dbt gives for the same
relation. The types are not: adapters ask for them by other queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_models.dbt.project.entry import BadDbtFile, DbtEntry, read_json

Name = tuple[str, str, str]
"""Database, schema and identifier in lower case; "" for no database."""


@dataclass(frozen=True, slots=True)
class DbtCatalog:
    """``made``: when dbt has written it; ``columns``: the names of each relation's columns, in
    their order. What two relations with other columns are called but for upper and lower case is
    not in it."""

    made: str
    columns: Mapping[Name, tuple[str, ...]]

    def columns_of(
        self, database: str | None, schema: str | None, identifier: str | None
    ) -> tuple[str, ...] | None:
        """The columns of a relation; None if the catalog does not have it."""
        return self.columns.get(_name(database, schema, identifier))


def read_catalog(target: Path) -> tuple[DbtCatalog | None, str]:
    """The catalog in dbt's target folder, if there is one; and why a file that is there is not
    read, "" if it is. It only adds to what an import knows, so it ends none."""
    file = target / "catalog.json"
    if not file.exists():
        return None, ""
    try:
        return _catalog(read_json(file)), ""
    except (BadDbtFile, RecursionError) as error:
        what = f"it is not as dbt writes it, so it gives no columns: {error}"
        return None, f"{file}: {what}. Run `dbt docs generate` again"


def _catalog(entry: DbtEntry) -> DbtCatalog:
    found: dict[Name, tuple[str, ...]] = {}
    twice: set[Name] = set()
    for name, columns in _relations(entry):
        if found.setdefault(name, columns) != columns:
            twice.add(name)
    columns_of = {name: it for name, it in found.items() if name not in twice}
    return DbtCatalog(entry.entry("metadata").text("generated_at", ""), columns_of)


def _relations(entry: DbtEntry) -> Iterator[tuple[Name, tuple[str, ...]]]:
    for kind in ("nodes", "sources"):
        for _, it in entry.entries(kind):
            of = it.entry("metadata")
            name = _name(of.text_or_none("database"), of.text("schema"), of.text("name"))
            columns = [column for _, column in it.entries("columns")]
            places = [(column.values.get("index"), column.text("name")) for column in columns]
            if places and all(isinstance(at, int) for at, _ in places):
                yield name, tuple(column for _, column in sorted(places))


def _name(database: str | None, schema: str | None, identifier: str | None) -> Name:
    return ((database or "").lower(), (schema or "").lower(), (identifier or "").lower())
