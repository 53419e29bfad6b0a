"""What keeps a task from being built, before its transaction begins."""

from __future__ import annotations

from contextlib import suppress

from dagster_models.core.tasks import BuildTask, CsvFile
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import WarehouseSession


def refuse_a_changed_seed(task: BuildTask) -> None:
    if not isinstance(task.content, CsvFile):
        return
    seed = task.content.file
    with suppress(OSError), open(seed.path, "rb") as file:  # the warehouse reports OSErrors
        if not seed.is_as_loaded(file.read()):
            raise WarehouseError(ErrorKind.CHANGED_FILE, seed.changed)


def refuse_leftovers(session: WarehouseSession, task: BuildTask) -> None:
    """A model that has gone or has another name leaves its relation, with old rows in it."""
    if task.builder is None or not task.undeclared:
        return
    for built in session.built_by(task.builder, task.undeclared):
        if built.kept:  # somebody else sees to it
            continue
        name, commit = str(built.relation), built.commit
        raise WarehouseError(
            ErrorKind.MISSING_RELATION,
            f"{name} is what the model {commit.step} left when it was last built"
            f" ({commit.committed_at[:16]}, run {commit.run_id}), and no model of this project"
            " builds it any more. Read the model by its new name; or declare it in"
            " models/sources.yaml if something else builds it now; or drop it:"
            " dagster-models clean --relations --yes",
            name="LeftoverRelation",
            line=task.undeclared.get(name),
        )
