"""Some of a check's offending rows, as a table of text."""

from __future__ import annotations

from dagster_models.reporting.printable import clean
from dagster_models.reporting.results import CheckResult
from dagster_models.util.text_table import aligned

#: What a terminal has room for.
_MOST_ROWS, _MOST_COLUMNS, _MOST_CHARACTERS = 5, 8, 32


def sample_lines(check: CheckResult) -> list[str]:
    """The rows under the names of their columns, safe to print; none where no rows are known."""
    if not check.sample:
        return []
    names = check.sample_columns[:_MOST_COLUMNS]
    rows = [names, *(row[:_MOST_COLUMNS] for row in check.sample[:_MOST_ROWS])]
    texts = [[_cell(value) for value in row] for row in rows]
    lines = aligned(texts, " | ")
    more = len(check.sample_columns) - len(names)
    return [f"{lines[0]} | ... {more} more" if more > 0 else lines[0], *lines[1:]]


def _cell(value: str | None) -> str:
    text = "NULL" if value is None else clean(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
