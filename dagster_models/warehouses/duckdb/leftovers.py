"""What DuckDB shows of relations: which they are, and the marks by which we know our own."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import duckdb

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.warehouses.base import Staged, literal, quoted
from dagster_models.warehouses.duckdb import repeatable
from dagster_models.warehouses.duckdb.cursor import DuckDBCursor
from dagster_models.warehouses.duckdb.errors import translated
from dagster_models.warehouses.duckdb.extras import DuckDBExtras
from dagster_models.warehouses.duckdb.target import DUCKDB
from dagster_models.warehouses.transactional import Found

_BEFORE_MARK = "\n\n("


class DuckDBLeftovers(DuckDBCursor):
    """Adds to a cursor what ``built_by`` and ``drop`` need, and what says whether a relation or a
    function is as it was. The mark is the relation's comment, or the end of it."""

    #: Those that are always there beside this one.
    databases: ClassVar[tuple[str, ...]] = DUCKDB.databases

    @property
    def beside(self) -> DuckDBExtras:
        return DuckDBExtras(self, self._catalog)

    def mark(self, staged: Staged, commit: Commit) -> str:
        # Whoever replaces the relation replaces its comment too.
        done = "adopted" if commit.is_adopted else "built"
        mark = (
            f"{done} by dagster-models ({commit.builder}):"
            f" {commit.step}, attempt {commit.attempt} of run {commit.run_id}"
        )
        if staged.comment:
            mark = f"{staged.comment}{_BEFORE_MARK}{mark})"
        kind = "VIEW" if commit.rows is None else "TABLE"
        self._run(f"COMMENT ON {kind} {quoted(staged.relation)} IS {literal(mark)}")
        return mark

    def unmarked(self, identity: str) -> str:
        return identity.rpartition(_BEFORE_MARK)[0]

    def relations_there(self) -> list[Found]:
        here = f"database_name = {literal(self._catalog)} AND NOT internal AND NOT temporary"
        rows = self._run(
            f"SELECT schema_name, table_name, false, comment FROM duckdb_tables() WHERE {here}"
            f" UNION ALL SELECT schema_name, view_name, true, comment FROM duckdb_views()"
            f" WHERE {here}"
        )
        ambiguous = (self._catalog.lower(), *self.databases, *self._attached.names)
        return [
            Found(
                Relation(schema, name, self._catalog if schema.lower() in ambiguous else None),
                is_view,
                comment,
            )
            for schema, name, is_view, comment in rows
        ]

    def unprotected_views(self, relation: Relation) -> list[Relation]:
        views = []
        # In another cursor: in DuckDB 2, an error would end an open transaction.
        with contextlib.closing(self._another_cursor()) as before:
            for each in self.relations_there():
                if each.is_view and each.relation != relation:
                    with contextlib.suppress(duckdb.Error):  # it is broken already
                        before.execute(f"SELECT 1 FROM {quoted(each.relation)} LIMIT 0").fetchall()
                        views.append(each.relation)
        return views

    def in_full(self, relation: Relation) -> Relation:
        # "main"."t" is the temporary relation t, if there is one.
        hidden = relation.schema.lower() == "main" and relation.catalog is None
        return replace(relation, catalog=self._catalog) if hidden else relation

    def _another_cursor(self) -> Any:
        """One that sees what is committed, whatever this one's transaction has done."""
        return self._cursor.cursor()

    @contextlib.contextmanager
    def shut(self, relation: Relation) -> Iterator[None]:
        # DuckDB has no locks, and CREATE OR REPLACE undoes in silence what others have committed
        # since the transaction began. But a table that was altered takes no writes of others any
        # more, not even those that wait for their COMMIT, and another cursor sees all before that.
        if self.take_turn(relation) == "table":
            self._run(f"ALTER TABLE {quoted(relation)} ADD COLUMN dagster_models_shut BOOLEAN")
        (zone,) = self._run("SELECT current_setting('TimeZone')")[0]
        own = self._cursor
        with contextlib.closing(self._another_cursor()) as others, translated():
            others.execute(f"SET SESSION TimeZone = {literal(zone)}").fetchall()
            self._cursor = others
            try:
                yield
            finally:
                self._cursor = own

    def fingerprint(self, relation: Relation) -> str:
        return repeatable.fingerprint(self._run, relation, self.columns(relation))

    def contents(self, relation: Relation) -> str:
        return repeatable.contents(self._run, relation, self.columns(relation))

    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        return repeatable.unrepeatable(self._run, functions) if functions else {}
