"""What a build writes before it is published: a stage, which is a Delta table of its own."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dagster_models.core.model import Relation
from dagster_models.core.tasks import CsvFile
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.util.arrow_values import converted, plain, rebuilt
from dagster_models.util.seed_types import SeedType
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.seeds import Seed, SeedWords, read_seed
from dagster_models.warehouses.spark.files import TableRows, delta_rows, live_files, translated
from dagster_models.warehouses.spark.proofs import Kind
from dagster_models.warehouses.spark.table_log import TableLog
from dagster_models.warehouses.spark.text import literal

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.stages import SparkStages

_SEED_WORDS = SeedWords(
    {
        SeedType.WHOLE: "BIGINT",
        SeedType.DECIMAL: "DOUBLE",
        SeedType.DATE: "DATE",
        SeedType.TIMESTAMP: "TIMESTAMP_NTZ",
        SeedType.BOOLEAN: "BOOLEAN",
        SeedType.TEXT: "STRING",
    },
    free_scale=0,
    free_float="real",
)
#: Words that other warehouses have for a text of any length.
_TEXTS = frozenset(("varchar", "text", "character varying"))
#: A column of the table with the cells of a seed: the row in the file.
_ROW = "dagster_models_row"
_RETRY_SECONDS = 0.02
#: Another table is to have the files of a stage, so the columns have their own names there,
#: whatever the server does by default.
_PLAIN = "TBLPROPERTIES ('delta.columnMapping.mode' = 'none')"


@dataclass(slots=True)
class Stage:
    """Where a build writes. ``name`` is that of the relation, in a schema that only this build has:
    so a condition of a check may name a column with it."""

    relation: Relation
    name: Relation
    folder: str
    definition: str = ""
    kind: Kind = "table"
    rows: int | None = None
    is_made: bool = False
    is_published: bool = False

    @classmethod
    def of(cls, log: TableLog, relation: Relation) -> Stage:
        mark = os.urandom(8).hex()
        name = Relation(f"dagster_models_stage_{mark}", relation.name)
        return cls(relation, name, log.folder_of(f"stage-{mark}"))

    @property
    def folder_name(self) -> str:
        return os.path.basename(self.folder)

    @property
    def creation(self) -> str:
        """The statement by which Spark knows a table that this process has written."""
        return f"CREATE TABLE {quoted(self.name)} USING delta LOCATION {literal(self.folder)}"

    def creation_as(self, query: str) -> str:
        """The statement that makes the table, with the rows of a query, which begins a line."""
        return f"{self.creation} {_PLAIN} AS\n{query}\n"

    def count_rows(self) -> int | None:
        """The number of rows by what was written of each file; None where one does not say it."""
        found = [_rows_of(it) for it in live_files(self.folder)]
        counted = [number for number in found if number is not None]
        return sum(counted) if len(counted) == len(found) else None

    def size(self) -> int | None:
        if self.definition:
            return None
        return sum(int(it["size"]) for it in live_files(self.folder))

    def columns(self) -> tuple[tuple[str, str], ...]:
        """(name, type) of each column, as Spark says it: Delta has the schema in Spark's JSON, so
        this needs no question to the server."""
        from deltalake import DeltaTable
        from pyspark.sql.types import StructType

        with translated(self.relation):
            schema = DeltaTable(self.folder).schema().to_json()
        fields = StructType.fromJson(json.loads(schema)).fields
        return tuple((it.name, it.dataType.simpleString()) for it in fields)

    def rows_of_table(self) -> TableRows:
        with translated(self.relation):
            return delta_rows(self.folder)

    def remove(self) -> None:
        """What is published keeps its files, and no log of its own."""
        kept = os.path.join(self.folder, "_delta_log") if self.is_published else self.folder
        shutil.rmtree(kept, ignore_errors=True)


def _rows_of(added: Mapping[str, Any]) -> int | None:
    number = json.loads(added.get("stats") or "{}").get("numRecords")
    return None if number is None else int(number)


# What is refused ---------------------------------------------------------------------------------


def no_transactions(what: str) -> WarehouseError:
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{what}, and Spark has no transactions over several statements",
        name="NoTransactions",
    )


# Rows from Arrow ---------------------------------------------------------------------------------


def storable(table: Any, integer_bits: int) -> Any:
    """The rows in types that the format has, whose smallest integers have so many bits.
    Raises WarehouseError for values that it cannot store."""
    try:
        schema, batches = converted(
            table.schema,
            table.to_batches(),
            lambda field: rebuilt(plain(field), lambda type_: _leaf(type_, integer_bits)),
        )
        return pa.Table.from_batches(batches, schema)
    except ValueError as error:
        raise WarehouseError(ErrorKind.BAD_VALUE, str(error), name="DataError") from error


def _leaf(type_: Any, integer_bits: int) -> Any:
    types = pa.types
    wider = {"uint8": pa.int16(), "uint16": pa.int32(), "uint32": pa.int64()}
    if types.is_integer(type_) and not types.is_uint64(type_):
        type_ = wider.get(str(type_), type_)
        return pa.int32() if type_.bit_width < integer_bits else type_
    if types.is_uint64(type_):
        return pa.decimal128(20, 0)
    if types.is_timestamp(type_):
        return pa.timestamp("us", "UTC" if type_.tz else None)
    if types.is_time(type_):
        return pa.string()
    if types.is_date64(type_):
        return pa.date32()
    if types.is_decimal256(type_):
        return pa.decimal128(38, min(type_.scale, 38))
    if types.is_large_string(type_) or isinstance(type_, pa.BaseExtensionType):
        return pa.string()
    if types.is_large_binary(type_) or types.is_fixed_size_binary(type_):
        return pa.binary()
    if types.is_duration(type_) or types.is_union(type_) or "interval" in str(type_):
        raise ValueError(
            f"is of Arrow's type {type_}, which the table cannot store: cast it to text"
        )
    return type_


def write_arrow(stage: Stage, path: str, integer_bits: int) -> None:
    with bulk.mapped(path) as given:
        write_table(stage, storable(given, integer_bits))


def write_table(stage: Stage, table: Any) -> None:
    from deltalake import write_deltalake
    from deltalake.exceptions import DeltaError

    try:
        write_deltalake(stage.folder, table, mode="error")
    except (DeltaError, OSError) as error:
        message = f"{stage.relation}: {error}"
        raise WarehouseError(ErrorKind.IO, message, name=type(error).__name__) from error


def write_definition(stage: Stage) -> None:
    """The rows that whoever reads the folder of a view or function finds there."""
    write_table(stage, pa.table({f"definition_of_a_{stage.kind}": [stage.definition]}))


# Seeds -------------------------------------------------------------------------------------------


def write_seed(session: SparkStages, stage: Stage, content: CsvFile) -> None:
    """The texts of the cells are a scratch table, which this process writes: no rows cross by the
    protocol, which is another one in each version of Spark."""
    types = {name: _word(type_) for name, type_ in content.column_types.items()}
    types = {name: session.location.stored_type(type_) for name, type_ in types.items()}
    seed = read_seed(content.file.path, types, _SEED_WORDS)
    cells, numbers = session.begin_scratch(stage.relation), range(seed.table.num_rows)
    texts = seed.table.rename_columns([_cell(at) for at in range(seed.table.num_columns)])
    write_table(cells, texts.append_column(_ROW, pa.array(numbers, pa.int64())))
    session.change(cells.creation)
    columns = zip(seed.table.column_names, seed.types, strict=True)
    listed = ", ".join(
        f"CAST({_cell(at)} AS {type_}) AS {quote(name)}" for at, (name, type_) in enumerate(columns)
    )
    try:
        session.change(stage.creation_as(f"SELECT {listed} FROM {quoted(cells.name)}"))
    except WarehouseError as error:
        raise _with_line(session, error, seed, quoted(cells.name)) from error


def _word(type_: str) -> str:
    return "STRING" if type_.lower() in _TEXTS else type_


def _cell(at: int) -> str:
    return f"cell_{at}"


def _with_line(
    session: SparkStages, error: WarehouseError, seed: Seed, cells: str
) -> WarehouseError:
    """The error with the line of the first cell that is no value of its column's type."""
    if error.kind is ErrorKind.BAD_VALUE:
        columns = zip(seed.table.column_names, seed.types, strict=True)
        for at, (column, type_) in enumerate(columns):
            name = _cell(at)
            misfit = f"{name} IS NOT NULL AND TRY_CAST({name} AS {type_}) IS NULL"
            rows = session.rows(f"SELECT {_ROW} FROM {cells} WHERE {misfit} ORDER BY 1 LIMIT 1")
            if rows:
                return seed.error(error, int(rows[0][0]), column)
    return WarehouseError(
        error.kind, f"{seed.path}: {error.message}", name=error.name, transient=error.transient
    )


# Fences ------------------------------------------------------------------------------------------


def fence(log: TableLog, session: str, timeout_seconds: float) -> bool:
    """Commit that the session must not publish into this relation any more; whether that was done
    in time. Somebody who commits at the same moment, perhaps this session, comes first."""
    end = time.monotonic() + timeout_seconds
    while True:
        try:
            log.fence(session)
            return True
        except WarehouseError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
            if time.monotonic() > end:
                return False
        time.sleep(_RETRY_SECONDS)
