"""Building relations without publishing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster_models.core.model import Relation
from dagster_models.core.plain import plain
from dagster_models.core.tasks import BuildTask, task_to_json
from dagster_models.processes.client.session import Session


@contextmanager
def rehearsing(session: Session) -> Iterator[None]:
    """Nothing of what is built in the block stays. The session is in UTC."""
    session.request({"op": "begin_rehearsal"})
    try:
        yield
    finally:
        if not session.closed:
            session.rollback()


def complete(
    session: Session, relation: Relation, added: Sequence[tuple[str, str]], mark: str
) -> None:
    """Let a table that was rehearsed have more columns, (name, type), NULL in each row; *mark* is
    the one in which a snapshot marks deletions, "" for none. Raises WarehouseError."""
    if added or mark:
        asked = {"op": "complete", "relation": plain(relation), "mark": mark}
        session.request({**asked, "added": [[*column] for column in added]})


def rehearse(session: Session, *tasks: BuildTask) -> tuple[tuple[str, str], ...]:
    """Build relations, one after the other, in the rehearsal of the session; return (name, type)
    of the columns of the last one.

    Raises WarehouseError, also outside of a rehearsal.
    """
    asked = {"op": "rehearse", "tasks": [task_to_json(task) for task in tasks]}
    return tuple((name, type_) for name, type_ in session.request(asked)["columns"])
