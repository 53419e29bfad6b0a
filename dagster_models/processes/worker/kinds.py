"""Runs a kind of model of the project's own, in the transaction in which it is published."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, cast

from dagster_models.core.materializations import Custom
from dagster_models.core.tasks import PythonTask, Query
from dagster_models.errors import ErrorKind, WarehouseLost
from dagster_models.kinds import Model
from dagster_models.processes.client.session import Session
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.warehouse import Warehouse
from dagster_models.processes.worker.usercode import UserCodeFailed, loaded_module

_ENDS = re.compile(
    r"(?:^|;)(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*"
    r"(abort|begin|commit|end|prepare\s+transaction|rollback|savepoint|start)\b",
    re.IGNORECASE | re.DOTALL,
)


class _Transaction(Warehouse):
    """A warehouse whose statements are all in one transaction, which is not the kind's to end."""

    def _text(self, query: str) -> str:
        text = super()._text(query)
        if found := _ENDS.search(text):
            raise ValueError(
                f"{found[1].upper()} is refused: what a kind does is one transaction, which is"
                " committed with the commit record after build() has returned"
            )
        return text


def build_in_transaction(task: PythonTask, how: Custom, connection: StepConnection) -> None:
    """Open the transaction, and let the kind build the model in it.

    Raises UserCodeFailed, or whatever the user's code raises.
    """
    question = task.build_from(Query(how.query))
    seen = connection.use(lambda session: session.open_build(question)).seen
    there = cast("Literal['table', 'view'] | None", seen or None)
    relation = task.relation.quoted
    model = Model(task.step, relation, how.query, how.settings, there, how.full_refresh)
    with loaded_module(task) as module:
        kind, line = _made(module, task, how)
        kind.build(_Transaction(connection, task.queries, task.relations), model)
    if not connection.in_transaction():
        raise UserCodeFailed(
            ErrorKind.OPEN_TRANSACTION,
            f"{how.kind}.build has ended the transaction that it was given, so that its work cannot"
            " be published with its commit record",
            line,
        )


def _made(module: Any, task: PythonTask, how: Custom) -> tuple[Any, int]:
    """The kind, and the line of its class."""
    name = how.kind.rpartition(".")[2]
    found = getattr(module, name, None)
    if not isinstance(found, type) or not callable(getattr(found, "build", None)):
        raise UserCodeFailed(
            ErrorKind.USER_CODE,
            f"{task.file.name} defines no class {name} with a method build(warehouse, model)",
            name="NoKind",
        )
    try:
        line = inspect.getsourcelines(found)[1]
    except (OSError, TypeError):
        line = 1
    return found(), line


def once(connect: Callable[[], Session]) -> Callable[[], Session]:
    """The same, the first time: another session would not be in the transaction."""
    opened: list[Session] = []

    def connect_once() -> Session:
        if opened:
            raise WarehouseLost(ErrorKind.LOST, "the session with the open transaction has ended")
        opened.append(connect())
        return opened[0]

    return connect_once
