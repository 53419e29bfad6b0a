"""The names of a relation's columns, as the project's own texts and seeds say them.

dbt asks the warehouse, and gets what the last build of the relation has left. The next build makes
the columns that the text has now, so where the text says all of them, nobody need be asked.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

from dagster_models.core.traced import Schema, Upstream
from dagster_models.dbt.project.manifest import POST_HOOK, DbtNode, Manifest
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.errors import SqlSyntaxError

#: Adapters whose names a trace gives as the warehouse has them, in upper and lower case.
_ADAPTERS = frozenset({"duckdb", "postgres"})
#: Kinds whose columns are those of their text.
_OF_TEXT = frozenset({"table", "view", "ephemeral"})
#: Kinds of models whose contract, if it is enforced, gives the order of their columns.
_IN_ORDER = frozenset({"table", "incremental"})
#: Kinds of tables that builds add to. They may have older columns than those of a first build.
_ADDED_TO = frozenset({"incremental", "snapshot"})
#: What dbt puts behind the columns of a snapshot's query, in this order.
_OF_SNAPSHOTS = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")
#: What a hook behind a build has that may add a column.
_ALTERS = re.compile(r"\balter\b", re.IGNORECASE)


class ColumnsOfTexts:
    """``render`` makes the text of a model with placeholders: that of a build in full, or, if it is
    asked for it, that of a later one."""

    def __init__(
        self, manifest: Manifest, placeholders: Placeholders, render: Callable[[DbtNode, bool], str]
    ) -> None:
        self._manifest, self._placeholders, self._render = manifest, placeholders, render
        self._found: dict[str, tuple[str, ...] | None] = {}
        self._nodes = {
            (*it.relation.folded, (it.relation.database or "").lower()): it
            for it in (manifest.nodes.values() if manifest.adapter_type in _ADAPTERS else ())
            if it.has_relation
        }

    def node_at(self, database: str | None, schema: str | None, name: str | None) -> DbtNode | None:
        """The model or seed whose relation has these names, where its columns may be known. A
        source may have them, too."""
        return self._nodes.get(
            ((schema or "").lower(), (name or "").lower(), (database or "").lower())
        )

    def of(self, node: DbtNode) -> tuple[str, ...] | None:
        """The columns in their order; None if only the warehouse knows them all."""
        if node.unique_id not in self._found:
            self._found[node.unique_id] = None  # for a text that asks for itself
            self._found[node.unique_id] = self._looked_up(node)
        return self._found[node.unique_id]

    def says(self, node: DbtNode) -> str:
        """Who says what ``of`` returns."""
        first = ", as its first build makes them" if node.materialized in _ADDED_TO else ""
        return f"by {node.path}{first}"

    def _looked_up(self, node: DbtNode) -> tuple[str, ...] | None:
        if any(_ALTERS.search(str(node.config.get(word) or "")) for word in POST_HOOK):
            return None
        if node.kind == "seed":
            names = _header(node, self._manifest)
        elif node.materialized in _IN_ORDER and (node.config.get("contract") or {}).get("enforced"):
            names = self._contracted(node)
        elif node.kind == "snapshot":
            names = self._of_snapshot(node)
        else:
            names = self._of_model(node)
        if names is None or len({it.lower() for it in names}) < len(names):
            return None  # the warehouse renames one of two that are alike
        return names

    def _contracted(self, node: DbtNode) -> tuple[str, ...] | None:
        """The columns of the YAML: dbt makes the table with these, in their order."""
        quoted = ((it.name, bool(it.given.get("quote"))) for it in node.columns)
        return tuple(self._as_kept(name, quotes) for name, quotes in quoted) or None

    def _of_snapshot(self, node: DbtNode) -> tuple[str, ...] | None:
        names, config = self._traced(node, False), node.config
        if names is None:
            return None
        own = [*_OF_SNAPSHOTS, *["dbt_is_deleted"] * (config.get("hard_deletes") == "new_record")]
        named = config.get("snapshot_meta_column_names") or {}
        return (*names, *(self._as_kept(str(named.get(it) or it), False) for it in own))

    def _of_model(self, node: DbtNode) -> tuple[str, ...] | None:
        if node.kind != "model" or node.language != "sql":
            return None
        if node.materialized in _OF_TEXT:
            return self._traced(node, False)
        names = self._traced(node, False) if node.materialized == "incremental" else None
        return names if names and names == self._traced(node, True) else None

    def _as_kept(self, name: str, quotes: bool) -> str:
        """A name that dbt writes with or without quotes, as the warehouse keeps it."""
        return name.lower() if self._manifest.adapter_type == "postgres" and not quotes else name

    def _traced(self, node: DbtNode, later: bool) -> tuple[str, ...] | None:
        placeholders = self._placeholders
        try:
            text = placeholders.bare(placeholders.with_written_relations(self._render(node, later)))
        except (NotImportable, SqlSyntaxError):
            return None
        upstream = {
            placeholders.word(it): Upstream(("", it), self._schema(it))
            for it in placeholders.relations_in(text)
        }
        from dagster_models.sql.lineage.trace import trace  # 0.1 s, and few texts ask for it

        found = trace(text, placeholders.dialect, upstream).schema
        return tuple(name for name, _ in found.columns) if found.closed else None

    def _schema(self, unique_id: str) -> Schema:
        node = self._manifest.nodes.get(unique_id)
        if node is None:
            of = self._manifest.sources[unique_id].relation
            node = self.node_at(of.database, of.schema, of.identifier)
        names = self.of(node) if node is not None else None
        return Schema(tuple((it, "") for it in names), closed=True) if names else Schema()


def _header(node: DbtNode, manifest: Manifest) -> tuple[str, ...] | None:
    """The columns of a seed: the first line of its file."""
    try:
        text = manifest.seed_path(node).read_text(encoding="utf-8-sig")
        delimiter = str(node.config.get("delimiter") or ",")
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except (OSError, ValueError, csv.Error, TypeError):
        return None
    names = [it.strip() for it in names]
    if not names or not all(names):
        return None
    folds = manifest.adapter_type == "postgres" and node.config.get("quote_columns") is False
    return tuple(it.lower() if folds else it for it in names)
