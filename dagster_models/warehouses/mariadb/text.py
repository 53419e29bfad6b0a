"""MariaDB's SQL as text: its statements, names and literals."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses import backquotes
from dagster_models.warehouses.backquotes import line_of, quote

#: Strings, names and comments, in which a semicolon means nothing. `/*!` and `/*M!` begin no
#: comment: what follows is executed. `--` begins one only before white space.
_TOKEN = re.compile(
    r"""
    (?P<string>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
    | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<comment>(?:--(?=\s|\Z)|\#)[^\n]* | /\*(?!!|M!).*?(?:\*/|\Z))
    | (?P<semicolon>;)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d\w*)
    | (?P<pipes>\|\|)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: The first words of statements that are not queries, also of those that stand in a program. After
#: any other word the server says what is wrong.
_STATEMENTS = frozenset(
    (
        *("alter", "analyze", "backup", "begin", "binlog", "cache", "call", "case", "change"),
        *("check", "checksum", "close", "commit", "create", "deallocate", "declare", "delete"),
        *("do", "drop", "end", "execute", "fetch", "flush", "for", "get", "grant", "handler"),
        *("if", "insert", "install", "iterate", "kill", "leave", "load", "lock", "loop", "open"),
        *("optimize", "prepare", "purge", "release", "rename", "repair", "repeat", "replace"),
        *("reset", "resignal", "return", "revoke", "rollback", "savepoint", "set", "shutdown"),
        *("signal", "start", "stop", "truncate", "uninstall", "unlock", "update", "use", "while"),
        *("xa",),
    )
)
#: The first words of statements that return rows, and of which no table can be made.
_SHOWN = frozenset(("show", "explain", "describe", "desc", "help"))
#: The first words of statements that commit an open transaction, whatever else they do.
_COMMITTING = frozenset(
    (
        *("alter", "analyze", "backup", "cache", "check", "create", "drop", "flush", "grant"),
        *("install", "lock", "optimize", "rename", "repair", "reset", "revoke", "truncate"),
        *("uninstall",),
    )
)
_PROGRAM = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?(?:definer\s*=\s*\S+\s+)?(?:aggregate\s+)?"
    r"(?:function|procedure|trigger|event|package)\b",
    re.IGNORECASE,
)


#: More than a table can have.
_ALL_ROWS = 2**64 - 1


def exact(value: str) -> str:
    """A text, as SQL, that equals no other text, whatever the collation of its column is."""
    return f"CONVERT({value} USING utf8mb4) COLLATE utf8mb4_nopad_bin"


def floats_exact(query: str, names: Sequence[str], floats: Collection[str]) -> str:
    """The query, from its second line on, with its columns of FLOAT as DOUBLE: the server writes
    a FLOAT with six digits, and a DOUBLE with all. *names*: of all its columns, each once."""
    listed = ", ".join(
        f"CAST({quote(name)} AS DOUBLE) AS {quote(name)}" if name in floats else quote(name)
        for name in names
    )
    return f"SELECT {listed} FROM ({_in_order(query)}) AS q"


def _in_order(query: str) -> str:
    """The query, from its second line on, as one that FROM may read: without a LIMIT, MariaDB
    takes no notice of its ORDER BY there. And WITH may begin no query in parentheses of its own."""
    if first_word(query) != "with":
        return f"(\n{query}\n) LIMIT {_ALL_ROWS}"
    depth, is_limited = 0, False
    for _, word, _ in tokens(query):
        depth += (word == "(") - (word == ")")
        is_limited |= not depth and word.lower() == "limit"
    return f"\n{query}\n" + ("" if is_limited else f"LIMIT {_ALL_ROWS}")


def literal(text: str) -> str:
    """A string as a literal: a backslash begins an escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0") + "'"


def tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, where it begins) of each token but space and comments."""
    for match in _TOKEN.finditer(sql):
        if match.lastgroup not in ("comment", "space"):
            yield match.lastgroup or "", match.group(), match.start()


def statements(sql: str) -> list[str]:
    return backquotes.statements(sql, tokens, lambda at: _PROGRAM.match(sql, at))


def first_word(sql: str) -> str:
    return next((text.lower() for _, text, _ in tokens(sql)), "")


def commits(sql: str) -> bool:
    """Whether a statement commits the transaction that is open. A temporary table does not."""
    words = [text.lower() for _, text, _ in tokens(sql)][:4]
    return bool(words) and words[0] in _COMMITTING and "temporary" not in words


def one_query(sql: str) -> str:
    """The text of its only statement, a query. Raises WarehouseError for anything else."""
    found = statements(sql)
    what = f"the text holds {len(found)} statements"
    if len(found) == 1:
        word = first_word(found[0])
        what = f"{word.upper()} begins a statement that is no query"
        if word not in _STATEMENTS:
            if not any(
                text.lower() == "into" for kind, text, _ in tokens(found[0]) if kind == "word"
            ):
                return found[0]
            what = "INTO writes what the query returns somewhere else"
    raise WarehouseError(
        ErrorKind.SYNTAX, f"{what}, where one query is expected", name="ProgrammingError"
    )


def refuse_pipes(sql: str) -> str:
    """The text. Raises WarehouseError where the user's SQL has `||`: it means OR in MariaDB, and
    joins texts in other warehouses, in our checks, and in some servers' own settings."""
    for kind, text, at in tokens(sql):
        if kind == "pipes":
            raise WarehouseError(
                ErrorKind.SYNTAX,
                f"{text} has two meanings in MariaDB: write OR, or CONCAT(...)\n"
                f"LINE {line_of(sql, at)}: {sql.splitlines()[line_of(sql, at) - 1]}",
                name="ProgrammingError",
                line=line_of(sql, at),
            )
    return sql


def is_shown(sql: str) -> bool:
    """Whether a statement returns rows, and no table can be made of it."""
    return first_word(sql) in _SHOWN
