"""``import-dbt --adopt``: what dbt has built is taken over as it stands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from dagster_models.cli.project import load, refuse_missing
from dagster_models.compilation.inputs import relations_read, rows_version
from dagster_models.compilation.tasks import TargetStep, task_for, warehouse_address
from dagster_models.core.adopted import Adopted
from dagster_models.core.commit import ADOPTED
from dagster_models.core.model import Project, Step, Target
from dagster_models.core.tasks import BuildTask
from dagster_models.core.windows import Partition
from dagster_models.dbt.adoption import AdoptedNode
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.errors import DagsterModelsError, ErrorKind, WarehouseError
from dagster_models.processes.client.adoption import adopt
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.contract import REBUILT
from dagster_models.project.targets import usable_target


def adopted(into: Path, manifest: Manifest, up_to_date: bool) -> tuple[AdoptedNode, ...]:
    """Adopt the relations of the project in *into*, on its target. *up_to_date*: the user says that
    a build would leave each of them as it is.

    Raises:
        ProjectError: the project does not load.
        DagsterModelsError: there is no database, or it cannot be reached.
    """
    project = load(into, columns=False, whole=False)
    if any(it.config.partitions is not None for it in project.steps.values()):
        project = load(into, whole=False)  # a model's partitions are known by its columns
    target = usable_target(project)
    refuse_missing(target)
    names = NodeNames(manifest)
    order = {key: at for at, key in enumerate(project.steps)}  # what is read comes first
    nodes = sorted(
        (it for it in manifest.nodes.values() if it.has_relation),
        key=lambda it: order.get(names.places[it.unique_id].key, 0),
    )
    moment = dt.datetime.now(dt.timezone.utc)
    run_id = f"adopted-{moment:%Y%m%dT%H%M%S.%f}"
    try:
        with connect(warehouse_address(project, target)) as session:
            session.prepare(())
            adopting = _Adopting(session, project, target, names, run_id, up_to_date)
            return tuple(map(adopting.node, nodes))
    finally:
        leave_all()


@dataclass
class _Adopting:
    """``known``: relation -> its publication, or what a source holds, for the records of what reads
    it."""

    session: Session
    project: Project
    target: Target
    names: NodeNames
    run_id: str
    up_to_date: bool
    known: dict[str, str] = field(default_factory=dict)

    def node(self, node: DbtNode) -> AdoptedNode:
        name = f"{node.relation.schema}.{node.relation.identifier}"
        step = self.project.steps.get(self.names.places[node.unique_id].key)
        if step is None:
            return AdoptedNode(node.unique_id, name, Adopted("left", "it is not imported"))
        try:
            found = self._step(step)
        except WarehouseError as error:
            if error.kind is ErrorKind.LOST:
                raise
            found = Adopted("left", f"its columns cannot be compared: {error.message}")
        except DagsterModelsError as error:
            found = Adopted("left", str(error))
        return AdoptedNode(node.unique_id, name, found)

    def _step(self, step: Step) -> Adopted:
        is_replaced = step.kind == "seed" or step.config.materialized in REBUILT
        if is_replaced and not self.up_to_date:
            return Adopted("replaced")
        if is_replaced and (unknown := self._unknown(step)):
            return Adopted("replaced", f"nobody knows what {unknown} was built from")
        partitions = _partitions_of(step) if self.up_to_date and step.partitions else ()
        target_step = TargetStep(self.project, step, self.target, partitions=partitions)
        task = task_for(target_step, self.run_id, ADOPTED, known=self.known)
        if not isinstance(task, BuildTask):
            why = "it is a model in Python, whose columns nobody knows before it has run"
            return Adopted("replaced" if is_replaced else "left", why)
        found = adopt(self.session, task)
        if is_replaced and found.state in ("adopted", "recorded"):
            (last,) = self.session.last_proofs([task.relation])
            self.known[str(task.relation)] = last.publication
        return found

    def _unknown(self, step: Step) -> str:
        """What the step reads and is not up to date by the user's word; "" if all of it is."""
        for key, relation in relations_read(self.project, step, self.target):
            if key in self.project.sources and str(relation) not in self.known:
                self.known[str(relation)] = rows_version(self.session.fingerprint(relation))
            if str(relation) not in self.known:
                return str(key)
        return ""


def _partitions_of(step: Step) -> tuple[Partition, ...]:
    from dagster_models.definitions.partitioned_jobs import partitions_of  # it imports Dagster

    return partitions_of(step)
