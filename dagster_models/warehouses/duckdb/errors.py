"""Turns DuckDB's exceptions into ours: what went wrong, and in which line of the user's text."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from dagster_models.errors import ErrorKind, WarehouseError

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
_LINE_BLOCK = re.compile(r"\n*^LINE \d+:.*\n?.*\Z", re.MULTILINE)
_HOLDER = re.compile(r"Conflicting lock is held in (.+?) \(PID (\d+)\)")
_PREFIX = re.compile(r"^([A-Za-z][A-Za-z ]*?) Error: ")

#: The last two are DuckLake's, whose catalog others write to at the same moment.
_CONFLICT = re.compile("conflict|maximum retry count|database is locked", re.IGNORECASE)

#: For ``lines_before``: no line of the statement is the user's.
NO_LINES = 1 << 30

#: How DuckDB opens a message where its class was lost on the way (through an Arrow reader).
_CLASSES = {
    "INTERRUPT": "InterruptException",
    "Out of Memory": "OutOfMemoryException",
    "TransactionContext": "TransactionException",
    "FATAL": "FatalException",
    "IO": "IOException",
}

_KINDS = {
    "InterruptException": ErrorKind.INTERRUPTED,
    "OutOfMemoryException": ErrorKind.OUT_OF_MEMORY,
    "TransactionException": ErrorKind.TRANSACTION_FAILED,  # or a conflict: see _kind
    "FatalException": ErrorKind.BROKEN,
    "InternalException": ErrorKind.BROKEN,
    "ParserException": ErrorKind.SYNTAX,
    "SyntaxException": ErrorKind.SYNTAX,
    "BinderException": ErrorKind.BAD_COLUMN,
    "ConversionException": ErrorKind.BAD_VALUE,
    "InvalidInputException": ErrorKind.BAD_VALUE,
    "OutOfRangeException": ErrorKind.BAD_VALUE,
    "TypeMismatchException": ErrorKind.BAD_VALUE,
    "ConstraintException": ErrorKind.CONSTRAINT,
    "PermissionException": ErrorKind.PERMISSION,
    "NotImplementedException": ErrorKind.UNSUPPORTED,
    "IOException": ErrorKind.IO,
    "HTTPException": ErrorKind.IO,
}


@contextlib.contextmanager
def translated(lines_before: int = 0) -> Iterator[None]:
    try:
        yield
    except WarehouseError:
        raise
    except Exception as error:
        raise convert(error, lines_before) from error


def convert(error: Exception, lines_before: int = 0) -> WarehouseError:
    """Return a driver's exception as ours; ``lines_before``: ours before the user's text."""
    message = str(error)
    name = type(error).__name__
    prefix = _PREFIX.match(message)
    if prefix and isinstance(error, OSError):
        # Through an Arrow reader an error arrives as an OSError with DuckDB's text.
        words = prefix.group(1)
        name = _CLASSES.get(words, words.replace(" ", "") + "Exception")
    line = None
    found = _LINE.search(message)
    if found:
        line = int(found.group(1)) - lines_before
        message = _LINE.sub(f"LINE {line}:", message) if line > 0 else _without_line(message)
        line = line if line > 0 else None
    kind = _kind(name, message)
    transient = kind in (ErrorKind.CONFLICT, ErrorKind.OUT_OF_MEMORY)
    return WarehouseError(kind, message, name=name, line=line, transient=transient)


def replaced(path: str) -> WarehouseError:
    """The error of a session whose database file is not the one at *path* any more."""
    return WarehouseError(
        ErrorKind.REPLACED,
        f"{path} was removed or replaced while it was open: what is written to the"
        " old file is lost, so nothing is committed to it any more. Run again.",
    )


def held_by(error: Exception) -> tuple[str, str] | None:
    """(program, pid) of who has the file open that a driver's exception is about, if it says so."""
    found = _HOLDER.search(str(error))
    return (found[1], found[2]) if found else None


def by_a_newer_one(error: Exception, path: str, version: str) -> WarehouseError | None:
    """The error where DuckDB cannot read the file at *path* as a newer one than *version* has
    written it; None for any other exception of a driver."""
    if "newer version of DuckDB" not in str(error):
        return None
    return WarehouseError(
        ErrorKind.VERSION_MISMATCH,
        f"{path} was written by a newer DuckDB than {version}, which dagster-models has here, and"
        " which cannot read it: install the version that has written it, e.g. that of dbt, in this"
        " environment (`pip install --upgrade duckdb`)",
    )


def _kind(name: str, message: str) -> ErrorKind:
    # Not every TransactionException is a conflict: a full disk fails a COMMIT with one.
    if name == "TransactionException" and _CONFLICT.search(message):
        return ErrorKind.CONFLICT
    if name == "CatalogException" and "does not exist" in message:
        return ErrorKind.MISSING_RELATION
    return _KINDS.get(name, ErrorKind.OTHER)


def _without_line(message: str) -> str:
    """Return the message without its quotation of a line that is ours and not the user's."""
    return _LINE_BLOCK.sub("", message)
