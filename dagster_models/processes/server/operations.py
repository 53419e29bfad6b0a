"""Questions about relations, and their removal: operations of a client that build nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster_models.core.model import Relation
from dagster_models.core.plain import plain
from dagster_models.processes.server.attempt import Stop
from dagster_models.warehouses.base import WarehouseSession

if TYPE_CHECKING:
    from dagster_models.processes.server.connection import ClientConnection

Message = Mapping[str, Any]


def ledger(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    relation = Relation(**message["relation"])
    return {"proofs": [commit.to_json() for commit in session.find_proofs(relation)]}


def built_by(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    return {"built": [plain(built) for built in session.built_by(message["builder"])]}


def drop(
    connection: ClientConnection, session: WarehouseSession, message: Message, stop: Stop
) -> dict[str, Any]:
    relation = Relation(**message["relation"])
    with connection.server.writing(str(relation), connection, stop):
        session.drop(relation, message["builder"])
    return {}
