"""Some of what a client may ask for: see ``connection._OPERATIONS``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster_models.core.materializations import Custom
from dagster_models.core.model import Relation
from dagster_models.core.parts import transactions
from dagster_models.core.plain import plain
from dagster_models.core.tasks import AttemptId, BuildTask, task_from_json
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop
from dagster_models.warehouses.base import WarehouseSession

if TYPE_CHECKING:
    from dagster_models.processes.server.connection import ClientConnection

Message = Mapping[str, Any]


def open_build(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    """Let the client's own code build a relation. It is the only writer of the relation until the
    session ends."""
    task = task_from_json(message["task"])
    if not isinstance(task, BuildTask) or not isinstance(task.materialization, Custom):
        raise ValueError(f"a {type(task).__name__} of another kind")
    server = connection.server
    with stop.shielded():
        server.database.prepare(session, [task.relation.schema], anew=False)
    connection.turn.enter_context(server.writing(str(task.relation), connection, stop))
    return {"reading": plain(session.read_before(task.relation, task.materialization))}


def rehearse(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    """Build relations in the client's rehearsal, none of them published; the columns of the last
    one."""
    _refuse_to_stay(session)
    columns: Sequence[tuple[str, str]] = ()
    for each in message["tasks"]:
        task = task_from_json(each)
        if not isinstance(task, BuildTask):
            raise ValueError(f"a {type(task).__name__} builds nothing")
        for part in transactions(task):
            staged = session.rehearse(part)
        columns = () if staged.is_function else session.columns(staged.relation)
    return {"columns": columns}


def begin_rehearsal(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    session.begin_rehearsal()
    return {}


def complete(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    """Add columns to a table that was rehearsed."""
    _refuse_to_stay(session)
    added = [(str(name), str(type_)) for name, type_ in message["added"]]
    session.complete(Relation(**message["relation"]), added, message["mark"])
    return {}


def _refuse_to_stay(session: WarehouseSession) -> None:
    if not session.in_rehearsal:
        what = "nothing is rehearsed outside of a transaction: it would stay"
        raise WarehouseError(ErrorKind.INVALID_REQUEST, what)


def settle(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    attempt = AttemptId(*message["attempt"])
    relation = Relation(**message["relation"])
    name, records = message.get("session", ""), int(message.get("records", 1))
    proofs, over = session.find_proofs(relation, attempt), True
    if len(proofs) < records:
        # Wait for the lost session's end before reading the proof: otherwise it could commit in
        # between.
        seconds = float(message["wait_seconds"])
        end = time.monotonic() + seconds
        over = connection.server.await_end(name, seconds)
        over = over and session.fence(name, max(0.0, end - time.monotonic()), relation)
        proofs = session.find_proofs(relation, attempt)
    committed = len(proofs) >= records
    if committed:
        connection.server.published(name)
    return {
        "committed": committed,
        "proofs": [proof.to_json() for proof in proofs],
        "session_alive": not over,
    }


def last_proofs(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    asked = [Relation(**relation) for relation in message["relations"]]
    return {"proofs": [commit.to_json() for commit in session.last_proofs(asked)]}


def ledger(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    relation = Relation(**message["relation"])
    return {"proofs": [commit.to_json() for commit in session.find_proofs(relation)]}


def built_by(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    found = session.built_by(message["builder"], message.get("names"))
    return {"built": [plain(built) for built in found]}


def there(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    asked = [Relation(**relation) for relation in message["relations"]]
    return {"there": [plain(relation) for relation in session.there(asked)]}


def fingerprint(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    return {"fingerprint": session.fingerprint(Relation(**message["relation"]))}


def unrepeatable(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    return {"reasons": session.unrepeatable(message["functions"])}


def query_columns(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    return {"columns": session.query_columns(message["sql"])}


def drop(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    relation = Relation(**message["relation"])
    with connection.server.writing(str(relation), connection, stop):
        session.drop(relation, message["builder"])
    return {}


def adopt(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    from dagster_models.warehouses import adoption  # few processes are asked this

    task = task_from_json(message["task"])
    if not isinstance(task, BuildTask) or session.in_transaction:
        raise ValueError("no relation of a task can be adopted here")
    with connection.server.writing(str(task.relation), connection, stop):
        return {"adopted": plain(adoption.adopt(session, task))}
