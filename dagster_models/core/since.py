"""What fits a column of `since:`, as far as its type is known: asked when a project is loaded, and
of the table in each build."""

from __future__ import annotations

import contextlib
import datetime

from dagster_models.util.sql_types import family


def lookback_misfit(lookback: str, type_: str) -> str:
    """Why ``Since.lookback`` cannot be subtracted from a column of this type, and what to do; "" if
    it can, or nobody knows."""
    kind = family(type_)
    if not lookback or not kind:
        return ""
    if kind == "text":
        return "a text has no values before others: delete `lookback`, or cast the column"
    is_time = lookback.startswith("INTERVAL")
    if kind == "number" and is_time:
        return "a time cannot be subtracted from a number: write a whole number"
    if kind == "moment" and not is_time:  # of a date both warehouses would subtract days
        return f"a number does not say its unit: write a time, such as {lookback}d for days"
    return ""


def begin_misfit(begin: object, type_: str) -> str:
    """Why the first build cannot begin with this value in a column of this type, and what to do; ""
    if it can, or nobody knows."""
    kind = family(type_)
    if begin is None or not kind:
        return ""
    is_moment = isinstance(begin, datetime.date)
    if isinstance(begin, str) and kind == "moment":
        is_moment = begin.strip().lower() in ("infinity", "-infinity", "epoch")
        with contextlib.suppress(ValueError):
            datetime.datetime.fromisoformat(begin.strip())
            is_moment = True
    is_number = isinstance(begin, (int, float))
    if isinstance(begin, str) and kind == "number":
        with contextlib.suppress(ValueError):
            float(begin)
            is_number = True
    if kind == "moment" and not is_moment:
        return "write a date or a time, such as 2024-01-31"
    if kind == "number" and not is_number:
        return "write a number"
    if kind == "text" and not isinstance(begin, str):
        return "write a text, with quotes"
    return ""
