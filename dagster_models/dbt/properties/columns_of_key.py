"""The columns of dbt's ``unique_key``, which may also be an expression that joins texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(r'[A-Za-z_]\w*|"[^"]+"')
_TEXT = re.compile(r"'(?:[^']|'')*'")
_CONCAT = re.compile(r"concat(?:_ws)?\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_CAST = re.compile(r"cast\s*\(\s*([^()]+?)\s+as\s+[\w ]+\)|([^()]+?)::\w+", re.IGNORECASE)


def columns_of_key(value: Any) -> tuple[tuple[str, ...] | None, bool]:
    """(columns, whether they are those of an expression); no columns for no key, and None for an
    expression that does more than join them."""
    items = value if isinstance(value, list) else [] if value in (None, "") else [value]
    found = [_columns(str(item).strip()) for item in items]
    if any(it is None for it in found):
        return None, True
    names = tuple(dict.fromkeys(name for it in found if it for name in it))
    return names, any(_NAME.fullmatch(str(item).strip()) is None for item in items)


def _columns(written: str) -> tuple[str, ...] | None:
    if _NAME.fullmatch(written):
        return (_plain(written),)
    inner = _CONCAT.fullmatch(written)
    parts = _split(inner[1], ",") if inner else _split(written, "||")
    return _joined(parts) if len(parts) > 1 or inner else None


def _joined(parts: Iterable[str]) -> tuple[str, ...] | None:
    names = []
    for part in parts:
        cast = _CAST.fullmatch(part)
        name = (cast[1] or cast[2]).strip() if cast else part
        if _NAME.fullmatch(name):
            names.append(_plain(name))
        elif not _TEXT.fullmatch(name):
            return None
    return tuple(names) or None


def _split(written: str, sign: str) -> list[str]:
    """The parts between the signs outside of texts; one part if there is none."""
    hidden = _TEXT.sub(lambda it: "\0" * len(it[0]), written)
    parts, start = [], 0
    while (end := hidden.find(sign, start)) >= 0:
        parts.append(written[start:end].strip())
        start = end + len(sign)
    return [*parts, written[start:].strip()]


def _plain(name: str) -> str:
    return name.strip('"')
