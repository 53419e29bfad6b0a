"""PostgreSQL's errors as ours: what went wrong, and in which line of the user's text."""

from __future__ import annotations

import psycopg

from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost

LOCK_TIMEOUT = "55P03"
_CANCELED = "57014"
_READ_ONLY = "25006"
_NO_RIGHT = "42501"
#: SQLSTATE, or its class -> our kind. Appendix A of PostgreSQL's manual.
_KINDS = {
    _CANCELED: ErrorKind.INTERRUPTED,
    "40001": ErrorKind.CONFLICT,  # serialization_failure
    "40P01": ErrorKind.CONFLICT,  # deadlock_detected
    "40": ErrorKind.TRANSACTION_FAILED,
    "25": ErrorKind.TRANSACTION_FAILED,
    LOCK_TIMEOUT: ErrorKind.LOCK_TIMEOUT,
    "53200": ErrorKind.OUT_OF_MEMORY,
    "53300": ErrorKind.TOO_MANY_SESSIONS,
    "53100": ErrorKind.IO,  # disk_full
    "58": ErrorKind.IO,
    _READ_ONLY: ErrorKind.READ_ONLY,
    _NO_RIGHT: ErrorKind.PERMISSION,
    "42601": ErrorKind.SYNTAX,
    "42P01": ErrorKind.MISSING_RELATION,
    "3F000": ErrorKind.MISSING_RELATION,  # invalid_schema_name
    "42": ErrorKind.BAD_COLUMN,  # undefined, ambiguous or of another type
    "22": ErrorKind.BAD_VALUE,
    "23": ErrorKind.CONSTRAINT,
    "0A": ErrorKind.UNSUPPORTED,
}
_TRANSIENT = frozenset(
    {
        ErrorKind.CONFLICT,
        ErrorKind.LOCK_TIMEOUT,
        ErrorKind.OUT_OF_MEMORY,
        ErrorKind.TOO_MANY_SESSIONS,
    }
)
#: The server ends the session, or takes no new one yet: 57P01 to 57P05, and class 08.
_ENDED = ("57P", "08")

#: Another session created, replaced or dropped the same relation at this moment. The server gives
#: these as internal errors (XX000), which it does not translate.
_CATALOG_RACES = (
    "tuple concurrently updated",
    "tuple concurrently deleted",
    "could not open relation with OID ",
    "could not find tuple for ",
    "cache lookup failed for ",
)


def sqlstate(error: BaseException | None) -> str:
    return (getattr(error, "sqlstate", None) or "") if error else ""


def is_lost(error: Exception, connection: psycopg.Connection | None) -> bool:
    """The session is gone, and with it all that it had not committed."""
    if connection is not None and (connection.closed or connection.broken):
        return True
    return isinstance(error, psycopg.OperationalError) and sqlstate(error).startswith(_ENDED)


def convert(error: Exception, sent: str = "", lines_before: int = 0) -> WarehouseError:
    """A driver's exception as ours.

    ``sent``: the text as sent; ``lines_before``: its lines that are not the user's (negative where
    the user's text begins earlier).
    """
    state = sqlstate(error)
    kind = _KINDS.get(state) or _KINDS.get(state[:2], ErrorKind.OTHER)
    name = type(error).__name__
    diagnosis = getattr(error, "diag", None)
    message = (diagnosis.message_primary if diagnosis else None) or str(error).strip()
    race = state == "23505" and (diagnosis is not None and diagnosis.schema_name == "pg_catalog")
    if race or (state == "XX000" and message.startswith(_CATALOG_RACES)):
        kind = ErrorKind.CONFLICT
    line = None
    if diagnosis is not None:
        for word, more in (("DETAIL", diagnosis.message_detail), ("HINT", diagnosis.message_hint)):
            if more:
                message += f"\n{word}: {more}"
        advice = _advice(state, message)
        if advice:
            if state == _CANCELED:
                kind, name = ErrorKind.TIMEOUT, "StatementTimeout"
            message += f"\nHINT: {advice}"
        if diagnosis.statement_position and sent:
            before = sent[: int(diagnosis.statement_position) - 1]
            line = before.count("\n") + 1 - lines_before
            if line > 0:
                message += f"\nLINE {line}: {_quotation(sent, before)}"
            else:
                line = None
    return WarehouseError(kind, message, name=name, line=line, transient=kind in _TRANSIENT)


def _advice(state: str, message: str) -> str:
    """What PostgreSQL does not say: whose setting it is, and what to do."""
    # The server has one SQLSTATE for a cancel and for its own timeout; the words may be translated.
    if state == _CANCELED and "statement timeout" in message:
        return (
            "statement_timeout is a setting of the server, the database or this role, and not of"
            " dagster-models: raise it there, or in the target's dsn"
            " (?options=-c%20statement_timeout=0)"
        )
    if state == _READ_ONLY:
        return (
            "this server, database or role only allows reading (a standby, or"
            " default_transaction_read_only): choose the primary (target_session_attrs=read-write"
            " in the dsn), or another role"
        )
    if state == _NO_RIGHT and "permission denied for database" in message:
        return (
            "a run makes the schemas that are missing, and `dagster_models` for its commit records:"
            " GRANT CREATE ON DATABASE to this role, or make them for it (CREATE SCHEMA ..."
            " AUTHORIZATION ...)"
        )
    return ""


def _quotation(sent: str, before: str) -> str:
    """The line of the text, and a mark below the place."""
    start = before.rfind("\n") + 1
    end = sent.find("\n", start)
    line = sent[start:] if end < 0 else sent[start:end]
    if len(line) > 200:
        return line[:200]
    return f"{line}\n{' ' * (len(before) - start)}^"


def lost(error: Exception) -> WarehouseLost:
    """The loss of a session; what it was doing is in doubt until its commit record is read."""
    state = sqlstate(error)
    said = " ".join(str(error).split()) or type(error).__name__
    return WarehouseLost(
        ErrorKind.LOST,
        f"the server ended the session ({said})"
        + (": it is shutting down, or somebody ended it" if state == "57P01" else ""),
        transient=True,
    )
