"""A CSV file with a header as columns of texts, each row with the line that it starts in.

The one reader of seeds, when a project is loaded and when one is built: so each warehouse has the
same rows of a file. Lines may end as on any system, also differently in one file.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass


class BadCsv(ValueError):
    """A file that is not read, with the line (from 1) of the place that says why."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class CsvTable:
    """``columns`` has the cells of each column, None for an empty one; ``lines`` that of each row.

    ``bad`` is what ends the rows early, if anything.
    """

    names: tuple[str, ...]
    columns: Sequence[list[str | None]]
    lines: Sequence[int]
    bad: BadCsv | None = None


def read(data: bytes) -> CsvTable:
    """The table in the bytes of a file. Raises BadCsv where not even the header can be read."""
    csv.field_size_limit(sys.maxsize)  # a text may be of any length
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadCsv(f"byte 0x{data[error.start]:02x} is not UTF-8", line) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = tuple(name.strip() for name in next(reader, []))
    except csv.Error as error:
        raise BadCsv(_said(error), 1) from error
    if not names:
        raise BadCsv("the first line must name the columns, and is empty", 1)
    rows, lines, bad = [], [], None
    started = reader.line_num + 1
    try:
        for row in reader:
            if not row and len(names) == 1:
                row = [""]
            if row:
                if len(row) != len(names):
                    raise BadCsv(
                        f"the line has {len(row)} values, the header has {len(names)}", started
                    )
                rows.append(row)
                lines.append(started)
            started = reader.line_num + 1
    except csv.Error as error:
        bad = BadCsv(_said(error), started)
    except BadCsv as error:
        bad = error
    columns = [[cell or None for cell in column] for column in zip(*rows, strict=True)]
    return CsvTable(names, columns or [[] for _ in names], lines, bad)


def _said(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return 'a " that opens a value is never closed'
    return f"the line is not CSV: {error}"
