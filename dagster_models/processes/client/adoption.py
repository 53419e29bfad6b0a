"""A relation that somebody else has built becomes the project's own."""

from __future__ import annotations

from dagster_models.core.adopted import Adopted
from dagster_models.core.tasks import BuildTask, task_to_json
from dagster_models.processes.client.session import Session


def adopt(session: Session, task: BuildTask) -> Adopted:
    """Give the task's relation a commit record; its rows stay as they are.

    Raises WarehouseError if its columns cannot be compared with those of the query.
    """
    answer = session.request({"op": "adopt", "task": task_to_json(task)})
    return Adopted.from_json(answer["adopted"])
