"""Seeds: CSV files as tables of texts, and the type that each column is to have in the warehouse.

Every warehouse reads a file by this, so the same rows and values are in each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import csv_table
from dagster_models.util.csv_table import BadCsv, CsvTable
from dagster_models.util.seed_types import Read, SeedType, guess, reader_of


@dataclass(frozen=True, slots=True)
class SeedWords:
    """What a warehouse calls the types that are guessed. ``free_scale``: the digits after the point
    of its decimals without declared ones; None: any. ``free_float``: the type that `float` is."""

    types: Mapping[SeedType, str]
    free_scale: int | None
    free_float: str


@dataclass(frozen=True, slots=True)
class Seed:
    """``table`` is an Arrow table of texts; ``types`` are those of its columns, as SQL."""

    path: str
    table: Any
    types: tuple[str, ...]
    lines: tuple[int, ...]

    def error(self, error: WarehouseError, row: int, column: str | None) -> WarehouseError:
        """A warehouse's error with the place in the file."""
        line = self.lines[row] if row < len(self.lines) else 1
        place = f"line {line}" + (f", column `{column}`" if column else "")
        message = f"{self.path}: {place}: {error.message}"
        return WarehouseError(
            error.kind, message, name=error.name, line=line, transient=error.transient
        )


def read_seed(path: str, column_types: Mapping[str, str], words: SeedWords) -> Seed:
    """Read a seed. Raises WarehouseError, which names the line, for what is no such table."""
    import pyarrow as pa

    try:
        with open(path, "rb") as file:
            found = csv_table.read(file.read())
        if found.bad is not None:
            raise found.bad
        declared = _declared(found, column_types)
        types, columns = [], []
        for name, cells in zip(found.names, found.columns, strict=True):
            type_ = declared.get(name.lower())
            read = reader_of(type_, words.free_scale, words.free_float) if type_ else None
            columns.append(_as_declared(found, name, type_ or "", read) if read else cells)
            types.append(type_ or words.types[guess(cells).type_])
    except OSError as error:
        raise WarehouseError(
            ErrorKind.IO, f"{path}: {error.strerror}", name="IOException"
        ) from error
    except BadCsv as error:
        message = f"{path}: line {error.line}: {error}"
        raise WarehouseError(
            ErrorKind.BAD_VALUE, message, name="BadCsv", line=error.line
        ) from error
    arrays = [pa.array(column, pa.string()) for column in columns]
    return Seed(path, pa.table(arrays, names=list(found.names)), tuple(types), tuple(found.lines))


def _declared(found: CsvTable, column_types: Mapping[str, str]) -> dict[str, str]:
    """The declared types by the columns' names in lower case: SQL compares them without case."""
    known = {name.lower() for name in found.names}
    for name in column_types:
        if name.lower() not in known:
            listed = ", ".join(f"`{column}`" for column in found.names)
            raise BadCsv(f"`column_types` names `{name}`, and the columns are {listed}", 1)
    return {name.lower(): type_ for name, type_ in column_types.items()}


def _as_declared(found: CsvTable, name: str, type_: str, read: Read) -> list[str | None]:
    made: list[str | None] = []
    for cell, line in zip(found.columns[found.names.index(name)], found.lines, strict=True):
        value = None if cell is None else read(cell.strip())
        if value is None and cell is not None:
            what = f"column `{name}`: `{cell}` is not exactly a value of the declared type {type_}"
            raise BadCsv(what + _how_to_write(type_.lower()), line)
        made.append(value)
    return made


def _how_to_write(type_: str) -> str:
    if type_ == "timestamptz" or "with time zone" in type_:
        return "; write it as 2024-02-01 10:30:00+02:00, or with Z for UTC"
    if type_.startswith("time") and not type_.startswith("timestamp"):
        return "; write times as 10:30:00"
    if "time" in type_:
        return "; write dates and times as 2024-02-01 10:30:00, and no finer than the type"
    return "; write dates as 2024-02-01" if type_ == "date" else ""
