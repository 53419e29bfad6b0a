"""Where a file's header is: in a comment `/* @model ... */`, or in the docstring of a module."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

#: White space, `-- comments` and other block comments may precede the header.
_BEFORE = re.compile(r"\ufeff?(?:\s+|--[^\n]*(?:\n|$)|/\*(?!\*?\s*@model\b).*?\*/)*", re.DOTALL)
_SQL_HEADER = re.compile(r"/\*\*?\s*@model(?=\s|\*/)(.*?)\*/", re.DOTALL)
_CHECK_HEADER = re.compile(r"\A\s*/\*\*?\s*@check(?=\s|\*/)(.*?)\*/", re.DOTALL)
_PYTHON_HEADER = re.compile(r"^[ \t]*@model(?=\s|$)", re.MULTILINE)
#: The same in the file, where the docstring's quotes may precede it.
_IN_SOURCE = re.compile(r"""^[rRuU]?(?:\"{3}|'{3}|"|')?[ \t]*@model(?=\s|$)""", re.MULTILINE)
#: What was meant as a header but is not one: in a line comment, below the top, of another name,
#: misspelt (`@Model`, `@ model`, `@models`), or without the mark.
_MEANT_IN_SQL = re.compile(
    r"^[ \t]*(?:--[ \t]*@model(?=\s*(?:\n|\Z|\w+:))"
    r"|/\*\*?\s*@\s*(?:model|script|seed|config)|/\*\*?\s*(?:models?\b)?\s*materialized\s*:)",
    re.MULTILINE | re.IGNORECASE,
)
_AGAIN_IN_SQL = re.compile(r"^[ \t]*(/\*\*?\s*@(?:model|check)(?=\s|\*/))", re.MULTILINE)
_MEANT_IN_COMMENTS = re.compile(
    r"\A(?:[ \t]*(?:#[^\n]*)?\n)*?[ \t]*#[ \t]*@(?:model|script)[ \t]*$", re.M
)
_MEANT_IN_DOCSTRING = re.compile(r"^[ \t]*@(?:script|seed|config)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Header:
    """``line`` is the line of the file in which ``yaml`` begins, counted from 1."""

    yaml: str
    line: int


def sql_header(text: str) -> Header | None:
    """The `/* @model ... */` comment at the top of a SQL file, None if there is none."""
    found = _found(text)
    if found is None:
        return None
    return _header(found.group(1), text.count("\n", 0, found.start(1)) + 1)


def without_header(text: str) -> str:
    """The text of a SQL file, of a model or a check, without its header."""
    found = _found(text) or _CHECK_HEADER.match(text)
    return (text[: found.start()] + text[found.end() :] if found else text).strip()


def _found(text: str) -> re.Match[str] | None:
    before = _BEFORE.match(text)
    return _SQL_HEADER.match(text, before.end() if before else 0)


def python_header(source: str) -> Header | None:
    """What follows `@model` in a Python module's docstring. None if there is none, and for a file
    that is not Python (read_python raises an error for such a file)."""
    docstring = _docstring(source)
    if docstring is None:
        return None
    value = str(docstring.value)
    found = _PYTHON_HEADER.search(value)
    written = ast.get_source_segment(source, docstring) or ""
    place = _IN_SOURCE.search(written)
    if found is None or place is None:
        return None
    return _header(value[found.end() :], docstring.lineno + written.count("\n", 0, place.start()))


def unread_sql_header(text: str) -> int | None:
    """The line of what was meant as a header in a SQL file that has none; None without such a
    thing."""
    found = _MEANT_IN_SQL.search(text)
    return text.count("\n", 0, found.end() - 1) + 1 if found else None


def second_sql_header(text: str) -> int | None:
    """The line of another header below that of a SQL file, of which nothing is read; None if there
    is none."""
    if text.count("@") < 2 or text.count("@model") + text.count("@check") < 2:  # nearly every text
        return None
    found = _found(text)
    again = _AGAIN_IN_SQL.search(text, found.end()) if found else None
    return text.count("\n", 0, again.start(1)) + 1 if again else None


def unread_python_header(source: str) -> int | None:
    """The same for a Python file."""
    if found := _MEANT_IN_COMMENTS.search(source):
        return source.count("\n", 0, found.end()) + 1
    docstring = _docstring(source)
    if docstring is None or not _MEANT_IN_DOCSTRING.search(str(docstring.value)):
        return None
    return docstring.lineno


def _header(yaml: str, line: int) -> Header:
    rest, newline, below = yaml.partition("\n")
    if rest.strip() or not newline:
        return Header(yaml.strip(), line)
    return Header(below, line + 1)  # nothing follows `@model` on its own line


def _docstring(source: str) -> ast.Constant | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape is the interpreter's business
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    return first if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
