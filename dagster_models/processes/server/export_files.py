"""Writing the files of an export, in the transaction of the build, and switching to them after it.

The rows go through an Arrow file, as all bulk data does, so that each warehouse writes the same
files in bounded memory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from dagster_models.core.messages import Exported
from dagster_models.core.tasks import AttemptId, BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes import exports
from dagster_models.processes.server.commits import first_part
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import Staged, WarehouseSession, find_proof, quote

#: Rows are written in groups of about this size.
_GROUP_ROWS = 100_000
_GROUP_BYTES = 64 << 20


def with_the_last(tasks: Iterable[BuildTask]) -> Iterator[BuildTask]:
    """The transactions of a build, of which only the last one writes files: with all of them."""
    every = iter(tasks)
    last = next(every)
    for task in every:
        yield replace(last, extras=replace(last.extras, export=None))
        last = task
    yield last


def write(session: WarehouseSession, task: BuildTask, staged: Staged) -> Exported | None:
    """Write the rows of what is staged, if the model has an export.

    Raises WarehouseError, also if the disk is full or something else has the name.
    """
    export = task.extras.export
    if export is None:
        return None
    columns = [name for name, _ in session.columns(staged.relation)]
    partitions = [_column(columns, name) for name in export.partition_by]
    order = f" ORDER BY {', '.join(map(quote, partitions))}" if partitions else ""
    sql = f"SELECT * FROM {session.name_of(staged)}{order}"
    try:
        exports.refuse_others(export)
        with exports.new_folder(export, task.id, first_part(task)) as folder:

            def is_committed(attempt: AttemptId, part: int) -> bool:
                found = find_proof(session, task.relation, attempt, part)
                return attempt == task.id or found is not None

            exports.sweep(export, is_committed)
            path, rows = session.export(sql, [folder])
            with bulk.batches(path) as (schema, batches):
                _write(folder, schema, batches, export.format, partitions)
            os.unlink(path)
            sizes = [
                os.path.getsize(os.path.join(at, name))
                for at, _, names in os.walk(folder)
                for name in names
                if name != exports.MARK
            ]
    except OSError as error:
        raise WarehouseError(
            ErrorKind.IO, f"export: {export.path} cannot be written: {error}", name="ExportFailed"
        ) from error
    return Exported(export.path, rows, len(sizes), sum(sizes))


def discard(task: BuildTask) -> None:
    """Remove the files of an attempt that was not committed."""
    if task.extras.export is not None:
        exports.discard(task.extras.export, task.id)


def settle(session: WarehouseSession, task: BuildTask) -> tuple[str, ...]:
    """Switch to the files of the build that was just committed; return notes. It is committed,
    whatever happens here: the next run that builds the model switches again."""
    if task.extras.export is None:
        return ()
    try:
        why = exports.settle(session, task.relation, task.extras.export)
    except WarehouseError as error:
        why = error.message
    path = task.extras.export.path
    return (f"WARNING: export: {path} still shows older rows: {why}",) if why else ()


def _column(columns: list[str], name: str) -> str:
    close = [column for column in columns if column.lower() == name.lower()]
    if not close:
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"export: `partition_by` names `{name}`, a column that the query does not return."
            f" Columns: {', '.join(columns)}",
        )
    return name if name in close else close[0]


def _write(
    folder: str, schema: Any, batches: Iterator[Any], format_: str, partitions: list[str]
) -> None:
    import pyarrow as pa

    try:
        if partitions:
            _write_partitions(folder, schema, batches, format_, partitions)
        else:
            _write_one(os.path.join(folder, f"data.{format_}"), schema, batches, format_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        what = f"export: the rows cannot be written as {format_}: {error}"
        raise WarehouseError(ErrorKind.UNSUPPORTED, what, name=type(error).__name__) from error


def _write_one(path: str, schema: Any, batches: Iterator[Any], format_: str) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    if format_ == "csv":
        writer: Any = pyarrow.csv.CSVWriter(path, schema)
    else:
        writer = pyarrow.parquet.ParquetWriter(path, schema)
    with contextlib.closing(writer):
        for table in _grouped(schema, batches):
            writer.write_table(table)


def _write_partitions(
    folder: str, schema: Any, batches: Iterator[Any], format_: str, partitions: list[str]
) -> None:
    import pyarrow as pa
    import pyarrow.dataset

    fields = pa.schema([schema.field(name) for name in partitions])
    pyarrow.dataset.write_dataset(
        pa.RecordBatchReader.from_batches(schema, batches),
        folder,
        format=format_,
        basename_template=f"data-{{i}}.{format_}",
        partitioning=pyarrow.dataset.partitioning(fields, flavor="hive"),
        existing_data_behavior="overwrite_or_ignore",
        max_partitions=1_000_000,
    )


def _grouped(schema: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """The batches as tables that are large enough to be a group of rows."""
    import pyarrow as pa

    group: list[Any] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.Table.from_batches(group, schema)
            group, rows, size = [], 0, 0
    if group:
        yield pa.Table.from_batches(group, schema)
