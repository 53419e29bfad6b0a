"""What Spark knows of the relations at a location: a view of each, which another one can replace.

A catalog in memory, as Sail has it, knows only what its session has created. So the location itself
says what is there, and each relation is a view: of its definition, or of the table of its files,
which has a schema of ours. CREATE OR REPLACE VIEW puts one in place of the other in one step.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.spark import functions
from dagster_models.warehouses.spark.location import RelationFolder
from dagster_models.warehouses.spark.proofs import Proof
from dagster_models.warehouses.spark.server import Server
from dagster_models.warehouses.spark.text import literal

_TRIES = 3
#: The schema of the tables that have the files.
_FILES = "dagster_models_files"
#: How often tables whose files are gone are looked for.
_CLEAN_SECONDS = 60 * 60


class Catalog:
    """The views of one Spark session."""

    def __init__(self, server: Server, location: RelationFolder) -> None:
        self._server, self._location = server, location
        #: In the properties of our views and the names of our tables. A catalog that lasts, or that
        #: all sessions of a server share, may have those of other locations beside ours.
        self._mark = hashlib.sha256(location.folder.encode()).hexdigest()[:12]
        self._name = f"dagster_models_{self._mark}"
        self._stamps: dict[tuple[str, str], object] = {}
        self._schemas: set[str] = set()
        #: The tables of files that this process has made, as SQL.
        self._tables: set[str] = set()
        #: Those of the relations that are functions.
        self._functions: set[tuple[str, str]] = set()
        self._turn = threading.Lock()
        self._cleans_at = 0.0

    def refresh(self) -> None:
        """Let the session know what is at the location now, whoever has put it there."""
        with self._turn:
            if not self._server.is_known():
                self._stamps.clear()
                self._schemas.clear()
                self._tables.clear()
                self._functions.clear()
                self._server.know()
            stamps = self._location.stamps()
            gone = self._stamps.keys() - stamps.keys()
            for key in gone:
                self._forget(Relation(*key))
            changed = {k: v for k, v in stamps.items() if self._stamps.get(k) != v}
            self._show(changed)
            if time.monotonic() >= self._cleans_at:
                self._cleans_at = time.monotonic() + _CLEAN_SECONDS
                with suppress(WarehouseError):
                    self._drop_tables_of_nothing()

    def _show(self, changed: dict[tuple[str, str], object]) -> None:
        """A view may read others that are shown after it, so some are tried again."""
        left = dict(changed)
        for _ in range(max(_TRIES, len(left))):
            again: dict[tuple[str, str], object] = {}
            for key, stamp in left.items():
                relation = Relation(*key)
                try:
                    self.show(relation, self._location.log(relation).state(), stamp)
                except WarehouseError as error:
                    if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.INTERRUPTED):
                        raise
                    again[key] = stamp
            if len(again) == len(left):
                break  # these views do not work, as what they read is gone
            left = again

    def show(self, relation: Relation, proof: Proof | None, stamp: object = None) -> None:
        """Put a view of the relation, as its log has it, in place of what has its name."""
        key = relation.schema.lower(), relation.name.lower()
        is_function = proof is not None and proof.kind == "function"
        is_foreign = self._is_foreign_function if is_function else self._is_foreign
        if key not in self._stamps and is_foreign(relation):
            return  # a build of it says so
        if is_function != (key in self._functions) and key in self._stamps:
            self._forget(relation)
        if proof is not None and proof.kind == "dropped":
            if key in self._stamps:  # else what has its name is somebody else's
                self._forget(relation)
            return
        self.add_schema(relation.schema)
        if proof is not None and proof.kind == "function":
            self._server.command(functions.creation(relation, proof.definition, self._name))
            self._functions.add(key)
            self._stamps[key] = stamp
            return
        if proof is not None and proof.kind == "view":
            self._put_view(relation, proof, proof.definition)
        else:
            self._put_view_of_files(relation, proof)
        self._stamps[key] = stamp

    def _put_view_of_files(self, relation: Relation, proof: Proof | None) -> None:
        """Sail 0.7 keeps no view of a path, so a table has the files."""
        shown = self._location.log(relation).shown()
        table = self._table(relation, shown.mark)
        query = f"SELECT * FROM {table}"
        if table in self._tables:
            try:
                return self._put_view(relation, proof, query)
            except WarehouseError as error:
                if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.INTERRUPTED):
                    raise
                self._tables.discard(table)  # somebody else has dropped it, perhaps
        self.add_schema(_FILES)
        place = f"USING {shown.format} LOCATION {literal(shown.folder)}"
        self._server.command(f"CREATE TABLE IF NOT EXISTS {table} {place}")
        self._tables.add(table)
        self._put_view(relation, proof, query)

    def _put_view(self, relation: Relation, proof: Proof | None, query: str) -> None:
        head = f"CREATE OR REPLACE VIEW {quoted(relation)}{self._described(query, proof)}"
        self._server.command(f"{head} TBLPROPERTIES ('{self._name}' = '1') AS\n{query}")

    def _described(self, query: str, proof: Proof | None) -> str:
        """The comments of a view: they are in the proof, which other processes read, too."""
        if proof is None:
            return ""
        said = ""
        if proof.columns:
            texts = {name.lower(): text for name, text in proof.columns.items()}
            listed = []
            for name, _ in self._server.columns(query):
                text = texts.get(name.lower(), "")
                listed.append(quote(name) + (f" COMMENT {literal(text)}" if text else ""))
            said = f" ({', '.join(listed)})"
        return f"{said} COMMENT {literal(proof.comment)}" if proof.comment else said

    def _is_foreign(self, relation: Relation) -> bool:
        """Whether Spark has a relation of this name that is no view of this location. A catalog
        that lasts has the views of earlier processes."""
        try:
            rows = self._server.run(f"DESCRIBE TABLE EXTENDED {quoted(relation)}").to_pylist()
        except WarehouseError as error:
            if error.kind in (ErrorKind.MISSING_RELATION, ErrorKind.BAD_COLUMN):
                return False
            raise
        said = {str(row["col_name"]): str(row["data_type"]) for row in rows}
        properties = said.get("Table Properties", "") + said.get("View Properties", "")
        return self._mark not in properties + said.get("View Text", "")

    def refuse_foreign(self, relation: Relation) -> None:
        """Raise WarehouseError if Spark has a relation of this name that is not at the location: a
        view of what is published could not take its place. Its schema is made."""
        self.add_schema(relation.schema)
        if (relation.schema.lower(), relation.name.lower()) in self._stamps:
            return
        if not self._is_foreign(relation):
            return
        raise _foreign(relation, "relation")

    def _is_foreign_function(self, relation: Relation) -> bool:
        self.add_schema(relation.schema)  # Spark lists no functions of one that is not there
        said = functions.described(self._server, relation)
        return said is not None and self._mark not in said

    def refuse_foreign_function(self, relation: Relation) -> None:
        """The same of a function."""
        key = relation.schema.lower(), relation.name.lower()
        if key not in self._functions and self._is_foreign_function(relation):
            raise _foreign(relation, "function")

    def show_published(self, relation: Relation) -> None:
        """The same after a publication, which has taken place whatever the server says. If it
        refuses, the next ``refresh`` tries again."""
        key = relation.schema.lower(), relation.name.lower()
        with suppress(WarehouseError), self._turn:
            stamp = self._location.stamp(relation)  # first, so it is not that of a later commit
            if stamp is None or self._stamps.get(key) != stamp:  # no other session has shown it
                self.show(relation, self._location.log(relation).state(), stamp)

    def forget(self, relation: Relation) -> None:
        with self._turn:
            self._forget(relation)

    def forget_all(self) -> None:
        """Let the session know no relation of the location, and none of its schemas."""
        with self._turn:
            for key in [*self._stamps]:
                self._forget(Relation(*key))
                with suppress(WarehouseError):
                    self._server.command(f"DROP TABLE IF EXISTS {self._table(Relation(*key))}")
            for schema in self._schemas - {_FILES}:
                with suppress(WarehouseError):
                    self._server.command(f"DROP SCHEMA IF EXISTS {quote(schema)} CASCADE")
            self._schemas.clear()
            self._tables.clear()

    def _forget(self, relation: Relation) -> None:
        key = relation.schema.lower(), relation.name.lower()
        what = "FUNCTION" if key in self._functions else "VIEW"
        with suppress(WarehouseError):
            self._server.command(f"DROP {what} IF EXISTS {quoted(relation)}")
        self._functions.discard(key)
        self._stamps.pop(key, None)

    def add_schema(self, schema: str) -> None:
        if schema.lower() not in self._schemas:
            self._server.command(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
            self._schemas.add(schema.lower())

    def _table(self, relation: Relation, mark: str = "") -> str:
        return quoted(Relation(_FILES, self._table_name(relation, mark)))

    def _table_name(self, relation: Relation, mark: str) -> str:
        schema = relation.schema.lower()
        return f"{self._mark}_{len(schema)}_{schema}_{relation.name.lower()}{mark}"

    def _drop_tables_of_nothing(self) -> None:
        """Drop each table of files whose folder is gone: of a relation that was dropped, or of a
        version that has not been shown for so long that nobody can be reading it still."""
        relations = [Relation(*key) for key in self._stamps]
        logs = [(relation, self._location.log(relation)) for relation in relations]
        used = {self._table_name(it, mark) for it, log in logs for mark in log.marks()}
        for row in self._server.run(f"SHOW TABLES IN {quote(_FILES)}").to_pylist():
            if row["tableName"] in used:
                continue
            table = quoted(Relation(_FILES, row["tableName"]))
            rows = self._server.run(f"DESCRIBE TABLE EXTENDED {table}").to_pylist()
            place = next((it["data_type"] for it in rows if it["col_name"] == "Location"), "")
            folder = str(place).removeprefix("file:")
            ours = os.path.join(self._location.folder, "")
            # Another location may have tables of its files in the same catalog.
            if folder.startswith(ours) and not os.path.exists(folder):
                self._server.command(f"DROP TABLE IF EXISTS {table}")
                self._tables.discard(table)


def _foreign(relation: Relation, what: str) -> WarehouseError:
    return WarehouseError(
        ErrorKind.NOT_KEPT,
        f"Spark has a {what} {relation} that no model has built at this location. Nothing was"
        " changed: rename or drop it by hand, or give the model another name (alias)",
        name="ForeignRelation",
    )


def rows_of(table: Any) -> list[tuple[Any, ...]]:
    """The rows of an Arrow table, which may have two columns of one name."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
