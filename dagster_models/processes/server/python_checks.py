"""Checks that are Python functions: the client runs their code, in the middle of its own request.

    ours    {"ask": {"check": ..., "relation": ...}}        the transaction of the build is open
    theirs  {"op": "query" or "export", "sql": ...}         what the function reads, in it
    ours    the answer
    theirs  {"op": "found", ...}                            and the request goes on

So the function sees what would be published, and nothing is published without its answer. It only
reads: a statement that writes is refused, as it would be committed with the build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.check_tasks import ONLY_READS, CheckTask
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import wire
from dagster_models.warehouses.base import WarehouseSession

Message = Mapping[str, Any]

Ask = Callable[[Message], Message]
"""Sends a message to the client, and returns its next one. Raises WarehouseError if the client is
gone, or asks to stop."""


@dataclass(frozen=True, slots=True)
class FunctionFound:
    """What a check's function has returned, or its error. ``checked`` is the number of rows in
    scope, if it says so; ``path`` is a file with the offending rows that are to be stored, "" for
    none. ``ended``: a statement of it has failed, and the transaction cannot go on."""

    failures: int = 0
    description: str = ""
    checked: int | None = None
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    query: str = ""
    path: str = ""
    error: TaskError | None = None
    ended: bool = False


def found_by(
    session: WarehouseSession, check: CheckTask, relation: str, ask: Ask, *, goes_on: bool
) -> FunctionFound:
    """What the function of a check finds. *relation*: what it checks, as SQL. *goes_on*: whether
    the transaction can, after a statement that has failed.

    Raises WarehouseError: the client is gone or asks to stop, or another try may succeed.
    """
    failed: WarehouseError | None = None
    undoes = goes_on and session.in_transaction
    message = ask({"ask": {"check": check.name, "relation": relation}})
    while message["op"] != "found":
        try:
            answer = _read(session, message)
        except WarehouseLost:
            raise
        except WarehouseError as error:
            failed = error
            if undoes:
                session.back_to_savepoint()
            answer = {"error": wire.error_to_json(error)}
        message = ask(answer)
    found = _found(message)
    if failed is not None and found.error is not None and _may_pass(failed):
        raise failed
    if undoes:
        session.back_to_savepoint()  # from here on the session may write again
    elif not goes_on and failed is not None:
        # The function may have caught the error, and what it has read since is not the truth.
        return FunctionFound(error=found.error or TaskError.of(failed), ended=True)
    return found


def _may_pass(error: WarehouseError) -> bool:
    """Whether the error says nothing of the statement: another try may succeed."""
    return error.transient or error.kind is ErrorKind.INTERRUPTED


def _read(session: WarehouseSession, message: Message) -> dict[str, Any]:
    if message["op"] == "in_transaction":
        return {"in_transaction": session.in_transaction}
    if message["op"] not in ("query", "export"):
        raise WarehouseError(ErrorKind.INVALID_REQUEST, ONLY_READS, name="CheckWrites")
    session.only_read(message["sql"])
    try:
        return _answer(session, message)
    except WarehouseError as error:
        if error.kind is not ErrorKind.READ_ONLY:
            raise
        # Its advice is about a server that refuses to be written to, and here we do.
        what = f"{ONLY_READS} ({str(error).splitlines()[0]})"
        raise WarehouseError(
            ErrorKind.INVALID_REQUEST, what, name="CheckWrites", line=error.line
        ) from error


def _answer(session: WarehouseSession, message: Message) -> dict[str, Any]:
    if message["op"] == "query":
        names, rows = session.query(message["sql"])
        return {"columns": names, "rows": wire.encode_rows(rows)}
    path, number = session.export(message["sql"], message["folders"])
    return {"path": path, "rows": number}


def _found(message: Message) -> FunctionFound:
    if message.get("error"):
        return FunctionFound(error=TaskError.from_json(message["error"]))
    sample: Sequence[Sequence[str | None]] = message["sample"]
    return FunctionFound(
        message["failures"],
        message["description"],
        message["checked"],
        tuple(message["columns"]),
        tuple(map(tuple, sample)),
        message["query"],
        message["path"],
    )
