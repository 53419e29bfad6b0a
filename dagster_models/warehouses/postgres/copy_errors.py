"""Errors of COPY with the row that they are about: the server counts the lines that it is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeAlias

from dagster_models.errors import WarehouseError
from dagster_models.util.arrow_values import row_text
from dagster_models.warehouses.postgres.arrow_to_copy import csv_chunks

_PLACE = re.compile(r"COPY .*?, line (\d+)(?:, column (.*?))?(?::|$)")


Named: TypeAlias = Callable[[WarehouseError, Any], WarehouseError]
"""Puts the row of an Arrow table that a COPY failed at into its error."""


def with_row(error: WarehouseError, table: Any) -> WarehouseError:
    """The error of a COPY of the Arrow table, with its row and column."""
    found = place(error, table)
    if found is None:
        return error
    row, column = found
    words = row_text(row) if column is None else f"column {column!r}, {row_text(row)}"
    message = f"{words}: {error.message}"
    return WarehouseError(error.kind, message, name=error.name, transient=error.transient)


def place(error: WarehouseError, table: Any) -> tuple[int, str | None] | None:
    """The row and the column that the error of a COPY is about; None where it is about none."""
    diagnosis = getattr(error.__cause__, "diag", None)
    found = _PLACE.search(getattr(diagnosis, "context", None) or "")
    return (_row_of_line(table, int(found[1])), found[2]) if found else None


def _row_of_line(table: Any, line: int) -> int:
    """The row that the line of its CSV, counted from 1, is in: a text may span several lines."""
    row = quotes = 0
    lines = chain.from_iterable(chunk.split(b"\n")[:-1] for chunk in csv_chunks(table))
    for number, text in enumerate(lines, 1):
        if number == line:
            break
        quotes += text.count(b'"')
        row += quotes % 2 == 0
    return row
