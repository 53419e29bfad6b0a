"""Rows that come from files: Arrow's, and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dagster_models.errors import WarehouseError
from dagster_models.util.arrow_values import row_text
from dagster_models.util.seed_types import SeedType
from dagster_models.warehouses.backquotes import quote
from dagster_models.warehouses.mariadb import values
from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.seeds import SeedWords, read_seed

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.statements import MariaStatements

_SEED_WORDS = SeedWords(
    {
        SeedType.WHOLE: "BIGINT",
        SeedType.DECIMAL: "DOUBLE",
        SeedType.DATE: "DATE",
        SeedType.TIMESTAMP: "DATETIME(6)",
        SeedType.BOOLEAN: "BOOLEAN",
        SeedType.TEXT: values.TEXT,
    },
    free_scale=0,
    free_float="real",
)
#: Words that other warehouses have for a text of any length.
_TEXTS = frozenset(("varchar", "text", "string", "character varying"))
_BOOLEANS = frozenset(("bool", "boolean", "tinyint(1)"))
#: Far below the server's max_allowed_packet (16 MB by default).
_MOST_BYTES = 1_000_000

Named = Callable[[WarehouseError, int], WarehouseError]
"""An error about one row, with the place of that row."""


def with_row(error: WarehouseError, row: int) -> WarehouseError:
    message = f"{row_text(row)}: {error.message}"
    return WarehouseError(error.kind, message, name=error.name, transient=error.transient)


def insert(
    session: MariaStatements, name: str, columns: Iterable[str], rows: Iterable[str], named: Named
) -> int:
    """Add rows, each as SQL in parentheses, in one transaction: a table that is loaded in parts
    would be read in parts, too."""
    head = f"INSERT INTO {name} ({', '.join(map(quote, columns))}) VALUES "
    own = not session.in_transaction
    if own:
        session.begin()
    try:
        total = 0
        for first, batch in _batches(rows):
            try:
                total += session.change(head + ",".join(batch))
            except WarehouseError as error:
                row = _row(error)
                raise (error if row is None else named(error, first + row)) from error
    except BaseException:
        if own:
            session.rollback()
        raise
    if own:
        session.commit()
    return total


def _batches(rows: Iterable[str]) -> Iterable[tuple[int, list[str]]]:
    first, batch, size = 0, list[str](), 0
    for row in rows:
        if batch and size + len(row) > _MOST_BYTES // 4:  # a character may have four bytes
            yield first, batch
            first, batch, size = first + len(batch), [], 0
        batch.append(row)
        size += len(row) + 1
    if batch:
        yield first, batch


def _row(error: WarehouseError) -> int | None:
    """The row of a statement that an error is about, from 0."""
    words = error.message.split("\n")[0].rpartition(" at row ")
    return int(words[2]) - 1 if words[1] and words[2].isdecimal() else None


def fill_from_arrow(session: MariaStatements, name: str, table: Any, create: str) -> int:
    """Make a table of the rows of Arrow, which are ``storable``; their number."""
    session.change(f"{create} ({values.definitions(table.schema)})")
    return insert(session, name, table.column_names, values.rows_as_sql(table), with_row)


def fill_from_seed(
    session: MariaStatements, name: str, path: str, column_types: Mapping[str, str], create: str
) -> int:
    types = {column: _word(type_) for column, type_ in column_types.items()}
    seed = read_seed(path, types, _SEED_WORDS)
    listed = zip(seed.table.column_names, seed.types, strict=True)
    try:
        session.change(
            f"{create} ({', '.join(f'{quote(column)} {type_} NULL' for column, type_ in listed)})"
        )
    except WarehouseError as error:
        raise WarehouseError(error.kind, f"{path}: {error.message}", name=error.name) from error

    def place(error: WarehouseError, row: int) -> WarehouseError:
        found = [it for it in seed.table.column_names if _names(error, it)]
        column = found[0] if found else None
        return seed.error(error, row, column)

    columns = [
        [_cell(cell, type_) for cell in column.to_pylist()]
        for column, type_ in zip(seed.table.columns, seed.types, strict=True)
    ]
    rows = (f"({','.join(row)})" for row in zip(*columns, strict=True))
    return insert(session, name, seed.table.column_names, rows, place)


def _names(error: WarehouseError, column: str) -> bool:
    return any(f"{quote_}{column}{quote_} at row" in error.message for quote_ in "`'")


def _word(type_: str) -> str:
    return values.TEXT if type_.lower() in _TEXTS else type_


def _cell(cell: str | None, type_: str) -> str:
    if cell is None:
        return "NULL"
    if type_.lower() in _BOOLEANS and cell.lower() in ("true", "false"):
        return cell.upper()
    return literal(cell)
