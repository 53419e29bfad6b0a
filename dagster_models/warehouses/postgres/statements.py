"""PostgreSQL's statements in a text: where each one begins and ends, as its own lexer sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError

#: Strings, names and comments, in which a semicolon means nothing. Section 4.1 of the manual.
_TOKEN = re.compile(
    r"""
    (?P<string>[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
        | (?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?P=dollar))
    | (?P<comment>--[^\n]*)
    | (?P<nested>/\*)
    | (?P<semicolon>;)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")
_ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)

#: The words that begin, end or undo a transaction.
TRANSACTION = frozenset(
    {"begin", "start", "commit", "end", "rollback", "abort", "prepare", "savepoint", "release"}
)


@dataclass(frozen=True, slots=True)
class Statement:
    """``word``: the first one, in lower case; ``lines_before``: of the text, before this one."""

    text: str
    word: str
    lines_before: int


def statements(sql: str) -> list[Statement]:
    """The statements of a text, without semicolons; a comment alone is none."""
    if _ATOMIC.search(sql):  # the body of a function has semicolons of its own
        return [Statement(sql, "create", 0)]
    found: list[Statement] = []
    start, word, filled = 0, "", False

    def cut(end: int) -> None:
        if filled:
            found.append(Statement(sql[start:end], word, sql.count("\n", 0, start)))

    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        assert match is not None  # the last branch takes any character
        at = match.end()
        kind = match.lastgroup
        if kind == "nested":
            at = _end_of_comment(sql, at)
        elif kind == "semicolon":
            cut(match.start())
            start, word, filled = at, "", False
        elif kind not in ("comment", "space"):
            word = word or (match.group().lower() if kind == "word" and not filled else word)
            filled = True
    cut(len(sql))
    return found


def _end_of_comment(sql: str, at: int) -> int:
    depth = 1
    while depth and (match := _BLOCK.search(sql, at)):
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return len(sql) if depth else at


def one_query(sql: str) -> str:
    """The text of its only statement. Raises WarehouseError for none, several, or a COMMIT."""
    found = statements(sql)
    if len(found) != 1 or found[0].word in TRANSACTION:
        raise WarehouseError(
            ErrorKind.SYNTAX,
            f"the text holds {len(found)} statements where one query is expected",
            name="ParserException",
        )
    # What was before it (a semicolon alone) counts as lines of the user's text.
    return "\n" * found[0].lines_before + found[0].text
