"""Turns the driver's exceptions into ours: what went wrong, and in which line."""

from __future__ import annotations

import re

from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.backquotes import only_line
from dagster_models.warehouses.mariadb.text import tokens

#: For ``lines_before``: no line of the statement is the user's.
NO_LINES = 1 << 30

LOCK_TIMEOUT, DUPLICATE, MISSING_TABLE, TABLE_EXISTS, NO_DATABASE = 1205, 1062, 1146, 1050, 1049
INTERRUPTED, DUPLICATE_COLUMN, UNKNOWN_TABLE = 1317, 1060, 1109
#: The session is gone: the driver's own numbers, and what the server says of one that it ends.
_LOST = frozenset((0, 1053, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2055, 4031))


def _kinds(**numbers: tuple[int, ...]) -> dict[int, ErrorKind]:
    return {number: ErrorKind[kind] for kind, found in numbers.items() for number in found}


#: The server's numbers of errors -> our kind.
_KINDS = _kinds(
    INTERRUPTED=(INTERRUPTED,),
    TIMEOUT=(1969, 3024),
    CONFLICT=(1020, 1213, 1412, 1684),
    LOCK_TIMEOUT=(LOCK_TIMEOUT,),
    TOO_MANY_SESSIONS=(1040, 1203, 1226),
    OUT_OF_MEMORY=(1037, 1038, 1041),
    IO=(3, 5, 9, 23, 28, 1021, 1026, 1114, 1030),
    PERMISSION=(1044, 1045, 1095, 1142, 1143, 1227, 1370, 1698),
    READ_ONLY=(1290, 1792, 1836),
    SYNTAX=(1064, 1149),
    MISSING_RELATION=(MISSING_TABLE, NO_DATABASE, 1046, 1051, UNKNOWN_TABLE, 1356),
    BAD_COLUMN=(
        *(1052, 1054, 1055, 1056, 1060, 1063, 1074, 1101, 1110, 1111, 1136, 1140, 1166, 1170),
        *(1222, 1241, 1242, 1247, 1248, 1267, 1271, 1305, 1349, 1351, 1352, 1353, 1582, 4078),
    ),
    BAD_VALUE=(
        *(1260, 1264, 1265, 1292, 1300, 1301, 1365, 1366, 1367, 1406, 1411, 1441, 1690, 1916),
        *(1918, 1977, 3140, 4038),
    ),
    CONSTRAINT=(1048, DUPLICATE, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 4025),
    INVALID_NAME=(1059, 1102, 1103),
    UNSUPPORTED=(1235, 1289, 1295),
)
_TRANSIENT = frozenset(
    {
        ErrorKind.CONFLICT,
        ErrorKind.LOCK_TIMEOUT,
        ErrorKind.OUT_OF_MEMORY,
        ErrorKind.TOO_MANY_SESSIONS,
    }
)
#: Warnings that say that a value is another one than was meant: in a query they are no errors.
CHANGED = frozenset(number for number, kind in _KINDS.items() if kind is ErrorKind.BAD_VALUE)

_AT_LINE = re.compile(r" at line (\d+)\Z")
#: A name that was not found, in the server's words.
_NAMED = (
    re.compile(r"Unknown column '(?:[^']*\.)?([^'.]+)' in"),
    re.compile(r"Table '(?:[^']*\.)?([^'.]+)' doesn't exist"),
    re.compile(r"FUNCTION (?:\S+\.)?(\S+) does not exist"),
    re.compile(r"Unknown table '([^']+)' in information_schema"),
    re.compile(r"Unknown database '([^']+)'"),
    re.compile(r"Column '(?:[^']*\.)?([^'.]+)' in \S+ is ambiguous"),
)


def number_of(error: BaseException | None) -> int:
    """The server's number of an error; -1 if it has none."""
    found = error.args[0] if error is not None and error.args else -1
    return found if isinstance(found, int) else -1


def is_lost(error: Exception) -> bool:
    """The session is gone, and with it all that it had not committed."""
    return isinstance(error, OSError) or number_of(error) in _LOST


def message_of(error: Exception) -> str:
    return str(error.args[1] if len(error.args) > 1 else error).strip()


def lost(error: Exception) -> WarehouseLost:
    """The loss of a session; what it was doing is in doubt until its commit record is read."""
    said = " ".join(message_of(error).split()) or type(error).__name__
    return WarehouseLost(ErrorKind.LOST, f"the server ended the session ({said})", transient=True)


def convert(error: Exception, sql: str = "", lines_before: int = 0) -> WarehouseError:
    """A driver's exception as ours. ``sql`` was sent; ``lines_before``: ours before the user's."""
    message, number = message_of(error), number_of(error)
    return warehouse_error(number, message, sql, lines_before, type(error).__name__)


def warehouse_error(
    number: int, message: str, sql: str, lines_before: int, name: str
) -> WarehouseError:
    kind = _KINDS.get(number, ErrorKind.OTHER)
    line, lines = None, sql.split("\n")
    found = _line(message, sql)
    if found is not None and lines_before < found <= len(lines):  # else it is in a view's text
        line = found - lines_before
        message = f"{message}\nLINE {line}: {lines[found - 1]}"
    if number == UNKNOWN_TABLE and "in information_schema" in message:
        message += "\nHINT: a table is found by its schema and name: write schema.name"
    if number == 1170:
        message += "\nHINT: an index needs a type with a length: cast the column, e.g. to char(100)"
    return WarehouseError(kind, message, name=name, line=line, transient=kind in _TRANSIENT)


def _line(message: str, sql: str) -> int | None:
    if at := _AT_LINE.search(message):
        # The server counts from the first character that is no white space.
        left = len(sql) - len(sql.lstrip())
        return int(at[1]) + sql.count("\n", 0, left)
    for named in _NAMED:
        if found := named.search(message):
            return only_line(sql, found[1], tokens(sql))
    return None
