"""What a session reads: queries, columns, checks, Arrow files; and what it says of relations."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dagster_models.core.built import Built
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.backquotes import quoted, relation_of
from dagster_models.warehouses.spark import contents, text, writing
from dagster_models.warehouses.spark.errors import NO_LINES
from dagster_models.warehouses.spark.location import refuse_name
from dagster_models.warehouses.spark.statements import SparkStatements
from dagster_models.warehouses.spark.text import one_query


class SparkReading(SparkStatements):
    """Relations and Arrow files; ``SparkSession`` adds what publishes."""

    # Relations

    def staged_name(self, relation: Relation) -> Relation:
        """What has the rows of a relation: the stage, while it is built."""
        stage = self.stage
        return stage.name if stage is not None and stage.relation == relation else relation

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        stage = self.stage
        if stage is not None and stage.relation == relation and not stage.definition:
            return stage.columns()
        name = quoted(self.staged_name(relation))
        return tuple(self.server.columns(f"SELECT * FROM {name}", self.tag, NO_LINES))

    def size(self, relation: Relation) -> int | None:
        stage = self.stage
        if stage is not None and stage.relation == relation:
            return stage.size()
        log = self.location.log(relation)
        last = log.last()
        return log.size() if last is not None and last.kind == "table" else None

    def there(self, relations: Collection[Relation]) -> list[Relation]:
        self.catalog.refresh()
        return [relation for relation in relations if self._is_there(relation)]

    def _is_there(self, relation: Relation) -> bool:
        try:
            self.columns(relation)
        except WarehouseError as error:
            if error.kind is ErrorKind.MISSING_RELATION:
                return False
            if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.INTERRUPTED):
                raise
        return True  # a view that does not work is there, too

    def built_by(self, builder: str, names: Collection[str] | None = None) -> list[Built]:
        wanted = None if names is None else {name.lower() for name in names}
        found = []
        for key in self.location.stamps():
            relation = Relation(*key)
            if wanted is not None and str(relation) not in wanted:
                continue
            last = self.location.log(relation).last()
            if last is None or last.commits[-1].builder != builder or last.kind == "function":
                continue
            commit = last.commits[-1]
            found.append(Built(relation, last.kind == "view", commit, self._kept(relation)))
        return found

    def _kept(self, relation: Relation) -> str:
        """Why the relation must not be dropped; "" for one that is as it was published."""
        for proof in self.location.log(relation).proofs():
            if proof.commits:
                return ""
            if not proof.fenced and proof.kind != "dropped":
                return f"somebody else has written to it since, in version {proof.version}"
        return "nobody has published it"

    def drop(self, relation: Relation, builder: str) -> None:
        log = self.location.log(relation)
        version = log.version()  # first: what is committed now is a conflict
        found = next(iter(self.built_by(builder, [str(relation).lower()])), None)
        if found is None or found.kept:
            why = found.kept if found else f"{builder} has not built it"
            raise WarehouseError(ErrorKind.NOT_KEPT, f"{relation} is kept: {why}")
        log.drop(version)
        self.catalog.forget(relation)

    def fingerprint(self, relation: Relation) -> str:
        return self.contents(relation)

    def contents(self, relation: Relation) -> str:
        return contents.contents(self, self.staged_name(relation), self.columns(relation))

    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        return contents.unrepeatable(functions)

    # Bulk

    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        found = self.server.run(one_query(sql), self.tag)
        return bulk.write(folders, found.schema, found.to_batches())

    def query_columns(self, sql: str) -> list[tuple[str, str]]:
        self.catalog.refresh()
        return self.server.columns(one_query(sql), self.tag)

    def load(self, path: str, relation: str, mode: str) -> int:
        """Written by the user's code, so without a proof."""
        found = relation_of(relation, text.tokens(relation))
        log = self.location.log(found)
        self.catalog.refresh()
        self.catalog.refuse_foreign(found)
        with bulk.mapped(path) as given:
            table = writing.storable(given, self.location.integer_bits)
            state = log.state()
            if mode == "append" and state is not None and state.kind in ("view", "function"):
                what = f"{found} is a {state.kind}, to which no rows can be added"
                raise WarehouseError(ErrorKind.UNSUPPORTED, what)
            log.load(table, append=mode == "append")
            self.catalog.refresh()
            return int(table.num_rows)

    def prepare(self, schemas: Sequence[str]) -> None:
        for schema in schemas:
            refuse_name(schema)
        self.catalog.refresh()
        for schema in schemas:
            self.catalog.add_schema(schema)
