"""What the SQL texts of a project say, each parsed once for all that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from dagster_models.sql.parsed import ParsedSql

Text: TypeAlias = tuple[str, str, bool]
"""The arguments of ``parse_sql``: text, dialect, queries_only."""


class ParsedTexts:
    """The texts that one load has parsed. ``known``: text -> what it says; the project keeps this
    mapping (``Project.texts``), so that nobody who compiles it has to parse again. *normalize*: as
    ``parse_sql`` has it."""

    def __init__(self, known: Mapping[Text, ParsedSql], *, normalize: bool = True) -> None:
        self.known: dict[Text, ParsedSql] = dict(known)
        self._normalize = normalize

    def parse(self, text: str, dialect: str, *, queries_only: bool = True) -> ParsedSql:
        """What ``parse_sql`` returns, from memory where that is possible. Raises SqlSyntaxError,
        which is not remembered."""
        key = (text, dialect, queries_only)
        found = self.known.get(key)
        if found is None:
            from dagster_models.sql.parse import parse_sql

            found = self.known[key] = parse_sql(*key, normalize=self._normalize)
        return found
