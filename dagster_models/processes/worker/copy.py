"""Copies rows from another warehouse: its own process writes them to a file on disk, of which the
step's warehouse process builds the relation. No row passes through here, so memory does not grow
with them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dagster_models.core.copied import Copied
from dagster_models.core.copy_forms import CopyForms, notes_on
from dagster_models.core.materializations import Incremental, Materialization, Reading
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.address import same_database
from dagster_models.processes.client.session import Session
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.util import arrow_files

#: `$since` as the step's warehouse writes it: each of the two warehouses reads these as one value.
_MOMENT = re.compile(r"(DATE|TIMESTAMP|TIMESTAMPTZ) '[^']*'")
_NUMBER = re.compile(
    r"CAST\('(-?\d+(?:\.\d+)?)' AS (?:[US]?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?"
    r"|(?:DECIMAL|NUMERIC)(?:\(\d+, ?\d+\))?)\)|(-1)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CopiedRows:
    """The file with the rows, and what the user should know of their types."""

    path: str
    notes: tuple[str, ...]


def copy_rows(
    copied: Copied,
    how: Materialization,
    reading: Reading | None,
    here: WarehouseAddress,
    connection: StepConnection,
    connect: Callable[[WarehouseAddress], Session],
) -> CopiedRows:
    """Read the rows that are new, or all of them. ``here`` is the step's own warehouse, reached by
    ``connection``.

    Raises WarehouseError; its line is one of the query as it was sent.
    """
    there = WarehouseAddress.from_json(copied.address)
    if same_database(there, here):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"`from: {copied.target}` is the database in which this run builds: choose another"
            " target for the run, or make the model a table",
            name="SameDatabase",
        )
    sql = _query(copied, how, reading)
    source = StepConnection(lambda: connect(there))
    try:
        columns = source.use(lambda session: _columns_of(session, sql))
        forms = (there.type.copy_forms, here.type.copy_forms)
        notes = tuple(notes_on(columns, *forms))
        path, rows = source.use(lambda session: _exported(session, sql))
        print(f"{rows:,} rows were read from {copied.target}")
        with arrow_files.removed_on_error(path):
            _refuse_other_forms(path, columns, forms[0])
            # The other warehouse's process may end before the rows are stored, with its files.
            folder = connection.use(lambda session: session.lasting_folders)[0]
            return CopiedRows(str(shutil.move(path, folder)), notes)
    finally:
        source.end()  # a step that is canceled has left a query there


def _columns_of(session: Session, sql: str) -> list[tuple[str, str]]:
    """(name, type) of each column of a query, which is not run."""
    found = session.request({"op": "query_columns", "sql": sql})["columns"]
    return [(name, type_) for name, type_ in found]


def _exported(session: Session, sql: str) -> tuple[str, int]:
    """The file with a query's rows, and their number. It is on disk, and outlives the session, but
    not its warehouse process."""
    answer = session.request({"op": "export", "sql": sql, "lasting": True})
    return str(answer["path"]), int(answer["rows"])


def _query(copied: Copied, how: Materialization, reading: Reading | None) -> str:
    """The query for what this build copies."""
    since = reading.since if reading is not None and not reading.whole else None
    begin = how.since.begin if isinstance(how, Incremental) and how.since else ""
    if since is None or not copied.increment or since == begin:
        return copied.sql
    return copied.increment.replace(SINCE, _elsewhere(since))


def _elsewhere(since: str) -> str:
    """The value in words that the other warehouse reads as the same one.

    Raises WarehouseError for a text, whose order may be another one there, and for floats.
    """
    if _MOMENT.fullmatch(since):
        return since
    if found := _NUMBER.fullmatch(since):
        return found[1] or found[2]
    raise WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"`since` names a column whose largest value is {since}: rows of another warehouse can be"
        " told to be later only by a whole or exact number, a date or a timestamp",
        name="NoCursor",
    )


def _refuse_other_forms(path: str, columns: Sequence[tuple[str, str]], source: CopyForms) -> None:
    """Raise WarehouseError where values have made another type of Arrow of a column than its own
    type has: a NaN among exact numbers, arrays of several dimensions."""
    import pyarrow as pa

    with arrow_files.batches(path) as (schema, _):
        for (name, type_), field in zip(columns, schema, strict=True):
            form, found = source.form(type_), field.type
            fits = True
            if form.startswith("decimal"):
                fits = pa.types.is_decimal(found)
            elif form.endswith("[]"):
                fits = pa.types.is_list(found) and not pa.types.is_nested(found.value_type)
            if not fits:
                raise WarehouseError(
                    ErrorKind.BAD_VALUE,
                    f"column {name} ({type_}) has values that no other warehouse has in this type:"
                    " NaN or infinity among exact numbers, or arrays of several dimensions. Cast"
                    " it in the query, e.g. to text",
                    name="DataError",
                )
