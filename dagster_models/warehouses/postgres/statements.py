"""PostgreSQL's statements in a text: where each one begins and ends, as its own lexer sees it.

A name that PostgreSQL would cut is refused in every text that a user sends, wherever it stands:
cut, two names can be one, and a column is not called what its model calls it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.postgres.target import MAX_NAME_BYTES, why_cut

#: Strings, names and comments, in which a semicolon means nothing. Section 4.1 of the manual.
_TOKEN = re.compile(
    r"""
    (?P<string>[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*'
        | (?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?P=dollar))
    | (?P<comment>--[^\n]*)
    | (?P<nested>/\*)
    | (?P<semicolon>;)
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
    | (?P<number>\d[\w.]*)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")
_ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)

_ESCAPE = re.compile(r"\\(?:\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4}))")

_NAMED = "a column, alias or relation"

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
    """The statements of a text, without semicolons; a comment alone is none.

    Raises WarehouseError for a name that PostgreSQL would cut.
    """
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
        if match.end() - match.start() > MAX_NAME_BYTES // 4 and kind in ("word", "quoted"):
            refuse_long(_unquoted(match.group()), _NAMED, _line(sql, match.start()))
        if kind == "nested":
            at = _end_of_comment(sql, at)
        elif kind == "semicolon":
            cut(match.start())
            start, word, filled = at, "", False
        elif kind not in ("comment", "space"):
            word = word or (match.group().lower() if kind == "word" and not filled else word)
            filled = True
    cut(len(sql))
    if _ATOMIC.search(sql):  # the body of a function has semicolons of its own
        return [Statement(sql, "create", 0)]
    return found


def _line(sql: str, at: int) -> int:
    return sql.count("\n", 0, at) + 1


def _unquoted(name: str) -> str:
    """A name as it is written -> the name."""
    if not name.endswith('"'):
        return name
    text = name[name.index('"') + 1 : -1].replace('""', '"')
    if name.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)), text)


def refuse_long(name: str, what: str, line: int | None = None) -> None:
    """Raises WarehouseError for a name that PostgreSQL would cut."""
    if why := why_cut(name):
        raise WarehouseError(
            ErrorKind.INVALID_NAME,
            f"{name!r} cannot be the name of {what}: {why}",
            line=line,
            name="NameTooLong",
        )
    if not name or "\0" in name:
        raise WarehouseError(ErrorKind.INVALID_NAME, f"{name!r} is no name for {what}")


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
        what = f"the text holds {len(found)} statements"
        if len(found) == 1:
            what = f"{found[0].word.upper()} begins, changes or ends a transaction"
        raise WarehouseError(
            ErrorKind.SYNTAX, f"{what}, where one query is expected", name="ParserException"
        )
    # What was before it (a semicolon alone) counts as lines of the user's text.
    return "\n" * found[0].lines_before + found[0].text
