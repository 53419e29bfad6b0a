"""Turns the exceptions of Spark Connect into ours: what went wrong, and in which line.

Spark names a condition, an SQLSTATE and the place in the text. Sail, another server, has only the
class of the exception and a message, in which a place or a name may stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import line_of, only_line
from dagster_models.warehouses.spark.text import tokens

#: For ``lines_before``: no line of the statement is the user's.
NO_LINES = 1 << 30

_BY_SQLSTATE: dict[str, ErrorKind] = {
    "42P01": ErrorKind.MISSING_RELATION,
    "42703": ErrorKind.BAD_COLUMN,
    "42702": ErrorKind.BAD_COLUMN,
    "42704": ErrorKind.BAD_COLUMN,
    "42883": ErrorKind.BAD_COLUMN,
    "42K09": ErrorKind.BAD_COLUMN,
    "42601": ErrorKind.SYNTAX,
    "HY008": ErrorKind.INTERRUPTED,
    "40000": ErrorKind.CONFLICT,
    "2D521": ErrorKind.CONFLICT,
}
_BY_CLASS_OF_STATE = {
    "22": ErrorKind.BAD_VALUE,
    "23": ErrorKind.CONSTRAINT,
    "0A": ErrorKind.UNSUPPORTED,
    "42": ErrorKind.BAD_COLUMN,
}
_BY_NAME = {
    "ParseException": ErrorKind.SYNTAX,
    "AnalysisException": ErrorKind.BAD_COLUMN,
    "ArithmeticException": ErrorKind.BAD_VALUE,
    "ArrayIndexOutOfBoundsException": ErrorKind.BAD_VALUE,
    "DateTimeException": ErrorKind.BAD_VALUE,
    "NumberFormatException": ErrorKind.BAD_VALUE,
    "SparkRuntimeException": ErrorKind.BAD_VALUE,
    "UnsupportedOperationException": ErrorKind.UNSUPPORTED,
    "RetriesExceeded": ErrorKind.UNREACHABLE,
}
#: What a message says, whatever the class of the exception.
_BY_WORDS = (
    (re.compile(r"operation not found|OPERATION_CANCELED"), ErrorKind.INTERRUPTED),
    (re.compile(r"TABLE_OR_VIEW_NOT_FOUND|[Tt]able not found"), ErrorKind.MISSING_RELATION),
    (re.compile(r"\bfound .* expected |expected one statement"), ErrorKind.SYNTAX),
    (re.compile(r"unknown (aggregate |window )?function"), ErrorKind.BAD_COLUMN),
    (re.compile(r"[Cc]annot cast|CAST_INVALID_INPUT|[Dd]ivide by zero"), ErrorKind.BAD_VALUE),
    (
        re.compile(
            r"RETRIES_EXCEEDED|UNAVAILABLE|failed to connect|Connection (refused|reset)|Socket clo"
        ),
        ErrorKind.UNREACHABLE,
    ),
    (re.compile(r"UNAUTHENTICATED|PERMISSION_DENIED"), ErrorKind.PERMISSION),
)

#: "found x at 24:25": offsets of characters; "found end of input".
_OFFSET = re.compile(r"\bfound .*? at (\d+):\d+ expected")
_AT_END = re.compile(r"\bfound end of input expected")
_POSITION = re.compile(r"(?:\(|SQLSTATE: \w+; )line (\d+),? pos \d+")
#: The class of SQLSTATEs that say that the system, and no text of the user's, is at fault.
_OF_THE_SYSTEM = "58"
#: "Caused by: class: [CONDITION] what SQLSTATE: 22018", and perhaps the place in the text.
_CAUSE = re.compile(
    r"^Caused by: [\w.$]+: \[([\w.]+)\] ((?:(?!^Caused by).)*? SQLSTATE: (\w{5}))$"
    r"(?:\n== SQL \(line (\d+), position \d+\) ==$)?",
    re.MULTILINE | re.DOTALL,
)
#: A name that was not found, in whichever words.
_NAMED = (
    re.compile(r'attribute:? ObjectName\(\[.*?Identifier\("([^"]+)"\)\]\)'),
    re.compile(r"Table or view not found: (?:.*\.)?(\w+)"),
    re.compile(r"unknown (?:aggregate |window )?function: (\w+)"),
    re.compile(r"The routine (?:`\w+`\.)*`(\w+)` cannot be found"),
)


def convert(error: Exception, sql: str, lines_before: int = 0) -> WarehouseError:
    """A driver's exception as ours. ``sql`` was sent; ``lines_before``: ours before the user's."""
    said = _cause(error) or _Said(
        _message(error), _asked(error, "getSqlState"), _asked(error, "getCondition")
    )
    message = said.message
    kind = _kind(error, message, said.state)
    line, lines = None, sql.split("\n")
    places = () if kind is ErrorKind.UNREACHABLE else (said.line, *_lines(error, message, sql))
    # Others are in a view's text, or in ours: of some errors in a function Spark names all of it.
    found = next((it for it in places if it and lines_before < it <= len(lines)), None)
    if found is not None:
        line = found - lines_before
        message = f"{message}\nLINE {line}: {lines[found - 1]}"
    return WarehouseError(
        kind,
        message,
        name=said.condition or type(error).__name__,
        line=line,
        transient=kind in (ErrorKind.UNREACHABLE, ErrorKind.CONFLICT),
    )


class _Said(NamedTuple):
    """What the server says is wrong: its words, the SQLSTATE, Spark's name of the condition."""

    message: str
    state: str
    condition: str
    line: int | None = None


def _cause(error: Exception) -> _Said | None:
    """Why a task has failed that writes rows: Spark names the folder alone, and then its causes."""
    if _asked(error, "getSqlState")[:2] != _OF_THE_SYSTEM:
        return None
    causes = [*_CAUSE.finditer(str(error))]
    if not causes:
        return None
    condition, message, state, line = causes[-1].groups()
    return _Said(f"[{condition}] {message}", state, condition, int(line) if line else None)


def _asked(error: Exception, name: str) -> str:
    ask: Callable[[], object] | None = getattr(error, name, None)
    return str(ask() or "") if ask is not None else ""


def _message(error: Exception) -> str:
    # The whole stack of the JVM follows in str(error).
    said = _asked(error, "getMessage") or str(error)
    return said.split("\n\nJVM stacktrace:")[0].strip()


def _kind(error: Exception, message: str, state: str) -> ErrorKind:
    if state:
        return _BY_SQLSTATE.get(state) or _BY_CLASS_OF_STATE.get(state[:2], ErrorKind.OTHER)
    for words, kind in _BY_WORDS:
        if words.search(message):
            return kind
    return _BY_NAME.get(type(error).__name__, ErrorKind.OTHER)


def _lines(error: Exception, message: str, sql: str) -> Iterator[int | None]:
    """The lines that an error names, the surest one first."""
    for context in getattr(error, "getQueryContext", list)() or ():
        start = getattr(context, "startIndex", lambda: -1)()
        if start >= 0:
            yield line_of(sql, start)
    if found := _POSITION.search(message):
        yield int(found[1])
    if found := _OFFSET.search(message):
        yield line_of(sql, int(found[1]))
    if _AT_END.search(message):
        yield line_of(sql, len(sql.rstrip()))
    for named in _NAMED:
        if found := named.search(message):
            yield only_line(sql, found[1], tokens(sql))


def overtaken(relation: Relation, error: Exception) -> WarehouseError:
    """The error of a commit before which somebody else has committed."""
    return WarehouseError(
        ErrorKind.CONFLICT,
        f"{relation} was written at the same moment: {error}",
        name="CommitFailed",
        transient=True,
    )
