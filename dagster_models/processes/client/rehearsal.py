"""Building relations without publishing them."""

from __future__ import annotations

from dagster_models.core.tasks import BuildTask, task_to_json
from dagster_models.processes.client.session import Session


def rehearse(session: Session, *tasks: BuildTask) -> tuple[tuple[str, str], ...]:
    """Build relations, one after the other, in the open transaction of the session; return (name,
    type) of the columns of the last one.

    Raises WarehouseError, also if no transaction is open.
    """
    asked = {"op": "rehearse", "tasks": [task_to_json(task) for task in tasks]}
    return tuple((name, type_) for name, type_ in session.request(asked)["columns"])
