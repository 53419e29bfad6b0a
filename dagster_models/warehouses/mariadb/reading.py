"""What a session reads: queries, columns, Arrow files; and what it says of relations."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from dagster_models.core.built import Built
from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.util.digests import digest_of
from dagster_models.warehouses import append
from dagster_models.warehouses.backquotes import quoted, relation_of
from dagster_models.warehouses.mariadb import contents, loading, refusals, staging, text, values
from dagster_models.warehouses.mariadb.errors import DUPLICATE_COLUMN, number_of
from dagster_models.warehouses.mariadb.staging import STAGES, MariaStage
from dagster_models.warehouses.mariadb.statements import MariaStatements
from dagster_models.warehouses.mariadb.text import literal, one_query
from dagster_models.warehouses.records import RECORDS

_ROWS = 10_000
#: How many digits are shown; it says nothing about the values.
_WIDTH = re.compile(r"\b((?:small|medium|big)?int|year)\(\d+\)|\b(tinyint)\((?!1\))\d+\)")


class MariaReading(MariaStatements):
    """Relations and Arrow files; ``MariaSession`` adds what publishes."""

    stage: MariaStage | None = None

    # Relations

    def staged_name(self, relation: Relation) -> Relation:
        """What has the rows of a relation: the stage, while it is built."""
        stage = self.stage
        return stage.name if stage is not None and stage.relation == relation else relation

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        return self.columns_of(quoted(self.staged_name(relation)))

    def columns_of(self, name: str) -> tuple[tuple[str, str], ...]:
        rows = self.rows(f"SHOW COLUMNS FROM {name}")
        return tuple((row[0], _WIDTH.sub(r"\1\2", row[1])) for row in rows)

    def column_comment(self, relation: Relation, name: str) -> str:
        rows = self.rows(
            "SELECT column_comment FROM information_schema.columns WHERE"
            f" table_schema = {literal(relation.schema)} AND table_name = {literal(relation.name)}"
            f" AND column_name = {literal(name)}"
        )
        return str(rows[0][0]) if rows else ""

    def size(self, relation: Relation) -> int | None:
        name = self.staged_name(relation)
        rows = self.rows(
            "SELECT data_length + index_length FROM information_schema.tables WHERE"
            f" table_schema = {literal(name.schema)} AND table_name = {literal(name.name)}"
            " AND table_type = 'BASE TABLE'"
        )
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    def there(self, relations: Collection[Relation]) -> list[Relation]:
        self.wake()
        return [each for each in relations if self._is_there(each)]

    def _is_there(self, relation: Relation) -> bool:
        rows = self.rows(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE"
            f" table_schema = {literal(relation.schema)} AND table_name = {literal(relation.name)}"
        )
        return (relation.schema, relation.name) in rows

    def built_by(self, builder: str, names: Collection[str] | None = None) -> list[Built]:
        last = {it.relation: it for it in self.last_proofs() if it.builder == builder}
        found = []
        for schema, name, type_, comment in self._relations_there():
            relation = Relation(schema, name)
            commit = last.get(str(relation))
            if commit is None or (names is not None and str(relation) not in names):
                continue
            is_view = type_ == "VIEW"
            identity = self.identity_of(relation, is_view, comment)
            kept = self._kept(relation, commit, is_view, identity)
            found.append(Built(relation, is_view, commit, kept))
        return found

    def _relations_there(self) -> list[tuple[Any, ...]]:
        own = ("mysql", "sys", "performance_schema", "information_schema", RECORDS.schema)
        listed = ", ".join(map(literal, own))
        return self.rows(
            "SELECT table_schema, table_name, table_type, table_comment"
            f" FROM information_schema.tables WHERE table_schema NOT IN ({listed})"
            f" AND table_schema NOT LIKE {literal(staging.like(STAGES))}"
            " ORDER BY 1, 2"
        )

    def identity_of(self, relation: Relation, is_view: bool, comment: str | None = None) -> str:
        """What tells a relation from any other that may come to have its name."""
        if not is_view:
            return comment or ""
        definition = self.rows(
            "SELECT view_definition FROM information_schema.views WHERE"
            f" table_schema = {literal(relation.schema)} AND table_name = {literal(relation.name)}"
        )
        return digest_of(repr(definition).encode())[:32]

    def _kept(self, relation: Relation, commit: Commit, is_view: bool, identity: str) -> str:
        """Why the relation must not be dropped; "" for one that is as it was published."""
        if commit.identity is None or identity != commit.identity:
            return "somebody else has replaced it since"
        if is_view or commit.rows is None:
            return ""
        if commit.contents:
            same = self.contents(relation) == commit.contents
            what = "its rows or columns are not those that were stored"
            return "" if same else f"{what}: somebody has written to it"
        rows = self.count(f"SELECT 1 FROM {quoted(relation)}")
        if rows == commit.rows:
            return ""
        return f"it has {rows} rows, and {commit.rows} were published: somebody has written to it"

    def fingerprint(self, relation: Relation) -> str:
        return self.contents(relation)

    def contents(self, relation: Relation) -> str:
        return contents.contents(self, self.staged_name(relation), self.columns(relation))

    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        return contents.unrepeatable(functions)

    # Bulk

    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        self._touched = True
        query = one_query(sql)
        sent, lines_before, columns = query, 0, None
        if not text.is_shown(query):
            columns = self._columns_if_each_has_a_name(query)
        if columns is not None and any(it.is_float for it in columns):
            floats = {it.name for it in columns if it.is_float}
            names = [it.name for it in columns]
            sent, lines_before = text.floats_exact(query, names, floats), 1
        return self._streamed_to(folders, sent, lines_before, columns)

    def _columns_if_each_has_a_name(self, query: str) -> list[values.ReadColumn] | None:
        try:
            return self._columns_of_query(query)
        except WarehouseError as error:
            if number_of(error.__cause__) == DUPLICATE_COLUMN:
                return None
            raise

    def _streamed_to(
        self,
        folders: Sequence[str],
        sql: str,
        lines_before: int,
        columns: list[values.ReadColumn] | None,
    ) -> tuple[str, int]:
        import pyarrow as pa

        with self.streamed(sql, lines_before) as cursor:
            asked = columns or _columns_of(cursor)
            if any(it.is_float for it in asked) and columns is None:
                raise refusals.float_of_two()
            schema = pa.schema([(it.name, it.type) for it in asked])
            return bulk.write(folders, schema, _batches(cursor, asked, schema))

    def _columns_of_query(self, query: str) -> list[values.ReadColumn]:
        with self.streamed(f"SELECT * FROM (\n{query}\n) AS q LIMIT 0", 1) as cursor:
            return _columns_of(cursor)

    def query_columns(self, sql: str) -> list[tuple[str, str]]:
        return [(it.name, it.word) for it in self._columns_of_query(one_query(sql))]

    def load(self, path: str, relation: str, mode: str) -> int:
        """Written by the user's code, so without a proof."""
        self._touched = True
        found = relation_of(relation, text.tokens(relation))
        with bulk.mapped(path) as given:
            table = values.storable(given)
            if mode == "append":
                if staging.kind_of(self, found) == "view":
                    what = f"{relation} is a view, to which no rows can be added"
                    raise WarehouseError(ErrorKind.UNSUPPORTED, what)
                schema = self._schema(found)
                fitted = values.storable(append.fitted(table, schema))
                rows = values.rows_as_sql(fitted)
                listed = fitted.column_names
                return loading.insert(self, quoted(found), listed, rows, loading.with_row)
            if self.in_transaction:
                what = "a table that is replaced would commit the open transaction"
                raise WarehouseError(ErrorKind.OPEN_TRANSACTION, f"{what}: commit it first")
            stage = MariaStage.of(self, found)
            try:
                staging.make_stage(self, stage)
                create = f"CREATE TABLE {quoted(stage.name)}"
                rows_ = loading.fill_from_arrow(self, quoted(stage.name), table, create)
                with staging.turn(self, found):
                    staging.swap(self, stage, staging.kind_of(self, found))
                return rows_
            finally:
                self.tidy(stage)

    def tidy(self, stage: MariaStage) -> None:
        """Remove what a stage has left; another session does it otherwise."""
        with contextlib.suppress(WarehouseError):
            self.reopen()
            staging.remove(self, stage)

    def _schema(self, relation: Relation) -> Any:
        """The types of Arrow in which the columns of a table are read."""
        import pyarrow as pa

        found = self._columns_of_query(f"SELECT * FROM {quoted(relation)}")
        return pa.schema([(it.name, it.type) for it in found])


def _columns_of(cursor: Any) -> list[values.ReadColumn]:
    if not cursor.fields:
        what = "the statement returns no columns to export"
        raise WarehouseError(ErrorKind.INVALID_INPUT, what)
    return [values.ReadColumn(field) for field in cursor.fields]


def _batches(cursor: Any, columns: Sequence[values.ReadColumn], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    first = 0
    while rows := cursor.fetchmany(_ROWS):
        arrays = [
            column.array(cells, first)
            for column, cells in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        first += len(rows)
