"""Spark's SQL as text: its statements, names and literals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses import backquotes

#: Strings, names and comments, in which a semicolon means nothing.
_TOKEN = re.compile(
    r"""
    (?P<raw>[rR](?:'[^']*'|"[^"]*"))
    | (?P<string>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
    | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<comment>--[^\n]*)
    | (?P<nested>/\*)
    | (?P<semicolon>;)
    | (?P<word>[^\W\d]\w*)
    | (?P<number>\d\w*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")

#: The first words of statements that are not queries. After any other word the server says what is
#: wrong: behind CREATE ... AS and in parentheses it takes queries alone.
_STATEMENTS = frozenset(
    (
        *("add", "alter", "analyze", "begin", "cache", "call", "clear", "comment", "commit"),
        *("create", "declare", "delete", "drop", "execute", "export", "grant", "import", "insert"),
        *("kill", "load", "lock", "merge", "msck", "optimize", "refresh", "replace", "reset"),
        *("restore", "revoke", "rollback", "set", "start", "truncate", "uncache", "unlock"),
        *("update", "use", "vacuum"),
    )
)


def literal(text: str) -> str:
    """A string as a literal: Spark reads a backslash as the beginning of an escape, and two quotes
    as the end of one literal and the beginning of the next one."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, where it begins) of each token but space and comments."""
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        assert match is not None  # the last branch takes any character
        start, at = at, match.end()
        kind = match.lastgroup or ""
        if kind == "nested":
            at = _end_of_comment(sql, at)
        elif kind not in ("comment", "space"):
            yield kind, match.group(), start


def lone_names(sql: str) -> list[str]:
    """The names in backquotes that stand alone, as written: no part of a dotted name, and no alias
    after AS. Without the backquotes such a name may be a function, a literal or a number."""
    found = [*tokens(sql)]
    before = ["", *(text.lower() for _, text, _ in found)]
    after = [*(text for _, text, _ in found[1:]), ""]
    return [
        text
        for (kind, text, _), previous, following in zip(found, before, after, strict=False)
        if kind == "quoted" and previous not in (".", "as") and following != "."
    ]


def statements(sql: str) -> list[str]:
    return backquotes.statements(sql, tokens, lambda at: False)


def one_query(sql: str) -> str:
    """The text of its only statement, a query. Raises WarehouseError for anything else."""
    found = statements(sql)
    what = f"the text holds {len(found)} statements"
    if len(found) == 1:
        _, word, _ = next(tokens(found[0]))
        if word.lower() not in _STATEMENTS:
            return found[0]
        what = f"{word.upper()} begins a statement that is no query"
    raise WarehouseError(
        ErrorKind.SYNTAX, f"{what}, where one query is expected", name="ParseException"
    )


def _end_of_comment(sql: str, at: int) -> int:
    depth = 1
    while depth and (match := _BLOCK.search(sql, at)):
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return len(sql) if depth else at
