"""``import-dbt --adopt``: what dbt has built is taken over as it stands."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dagster_models.cli.project import load, refuse_missing
from dagster_models.compilation.tasks import TargetStep, task_for, warehouse_address
from dagster_models.core.adopted import ADOPTIONS, Adopted
from dagster_models.core.commit import ADOPTED
from dagster_models.core.model import Project, Target
from dagster_models.core.tasks import BuildTask
from dagster_models.dbt.adoption import AdoptedNode
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import STEPS, NodeNames
from dagster_models.errors import DagsterModelsError, ErrorKind, WarehouseError
from dagster_models.processes.client.adoption import adopt
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target

_SAYS = {
    "adopted": "adopted: runs go on from them",
    "recorded": "have a commit record already",
    "left": "left as they are",
    "missing": "not there: the first run builds them",
    "replaced": "replaced by each run, as their kind is",
}


def adopted(into: Path, manifest: Manifest) -> tuple[AdoptedNode, ...]:
    """Adopt the relations of the project in *into*, on its target.

    Raises:
        ProjectError: the project does not load.
        DagsterModelsError: there is no database, or it cannot be reached.
    """
    project = load(into, columns=False, whole=False)
    target = usable_target(project)
    refuse_missing(target)
    names = NodeNames(manifest)
    nodes = [
        it for it in manifest.nodes.values() if it.kind in STEPS and it.relation.written is not None
    ]
    moment = dt.datetime.now(dt.timezone.utc)
    run_id = f"adopted-{moment:%Y%m%dT%H%M%S.%f}"
    try:
        with connect(warehouse_address(project, target)) as session:
            session.prepare(())
            return tuple(_one(session, project, target, it, names, run_id) for it in nodes)
    finally:
        leave_all()


def _one(
    session: Session,
    project: Project,
    target: Target,
    node: DbtNode,
    names: NodeNames,
    run_id: str,
) -> AdoptedNode:
    name = f"{node.relation.schema}.{node.relation.identifier}"
    step = project.steps.get(names.places[node.unique_id].key)
    if step is None:
        return AdoptedNode(node.unique_id, name, Adopted("left", "it is not imported"))
    if step.config.materialized not in ("incremental", "snapshot"):
        return AdoptedNode(node.unique_id, name, Adopted("replaced"))
    try:
        task = task_for(TargetStep(project, step, target), run_id, ADOPTED)
        assert isinstance(task, BuildTask)  # an import makes no Python models
        found = adopt(session, task)
    except WarehouseError as error:
        if error.kind is ErrorKind.LOST:
            raise
        found = Adopted("left", f"its columns cannot be compared: {error.message}")
    except DagsterModelsError as error:
        found = Adopted("left", str(error))
    return AdoptedNode(node.unique_id, name, found)


def adoption_lines(found: Sequence[AdoptedNode]) -> Iterator[str]:
    """The summary for a terminal: the reason of each that is left is in it."""
    counts = Counter(it.what.state for it in found)
    yield "Relations that dbt has built:"
    for state in ADOPTIONS:
        if counts[state]:
            yield f"  {counts[state]:>6}  {_SAYS[state]}"
    for it in found:
        if it.what.state == "left":
            yield f"  left: {it.name}: {it.what.why}"


def has_left(found: Sequence[AdoptedNode]) -> bool:
    return any(it.what.state == "left" for it in found)


def as_json(found: Sequence[AdoptedNode]) -> list[dict[str, Any]]:
    return [
        {"unique_id": it.unique_id, "name": it.name, "state": it.what.state, "why": it.what.why}
        for it in found
    ]
