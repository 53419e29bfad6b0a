"""SQL texts that are parsed once: by the load, for all that is made of them afterwards."""

from __future__ import annotations

from typing import TypeAlias

from dagster_models.sql.parse import ParsedSql, parse_sql

Text: TypeAlias = tuple[str, str, bool]
"""The arguments of ``parse_sql``: text, dialect, queries_only."""


#: The load has parsed every text once; compiling it in the same process must not do so again.
_PARSED_TEXTS = 32768


_remembered: dict[Text, ParsedSql] = {}


def parsed_text(text: str, dialect: str, *, queries_only: bool = True) -> ParsedSql:
    """``parse_sql``, remembered. Raises SqlSyntaxError (not remembered)."""
    key = (text, dialect, queries_only)
    found = _remembered.get(key)
    if found is None:
        found = parse_sql(text, dialect, queries_only=queries_only)
        remember(key, found)
    return found


def remember(text: Text, parsed: ParsedSql) -> None:
    """What ``parse_sql`` gives for a text, known from elsewhere (another process, a cache)."""
    if len(_remembered) >= _PARSED_TEXTS:
        _remembered.clear()  # a code server reloads for weeks; what is in use comes back
    _remembered[text] = parsed
