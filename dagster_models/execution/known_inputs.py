"""What a run knows of the relations that its steps read: whose publication each of them is.

Nobody asks the warehouse before each step: the run knows what it has committed itself, and asks
once for the relations that it does not build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dagster_models.compilation.inputs import Known, relations_read
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.commit import Commit, publication
from dagster_models.core.model import EMPTY, Relation
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect


class KnownInputs:
    """The publications of one run's inputs, by warehouse."""

    def __init__(self) -> None:
        self._known: dict[WarehouseAddress, dict[str, str]] = {}

    def of(self, target_step: TargetStep) -> Known:
        """What is known in the warehouse of the step."""
        return self._known.get(target_step.address, EMPTY)

    def put(self, address: WarehouseAddress, relation: Relation, version: str) -> None:
        self._known.setdefault(address, {})[str(relation)] = version

    def committed(self, target_step: TargetStep, run_id: str, attempt: int) -> None:
        """The step was published: readers that start from now on read this."""
        if target_step.relation is not None:
            version = publication(run_id, attempt)
            self.put(target_step.address, target_step.relation, version)

    def found(self, target_step: TargetStep, commit: Commit) -> None:
        """The step is not built: readers read this publication of it."""
        assert target_step.relation is not None
        self.put(target_step.address, target_step.relation, commit.publication)

    def ask(self, target_steps: Mapping[str, TargetStep]) -> None:
        """Read which publications there are of what these steps read and this run does not build.

        Raises:
            WarehouseError: a warehouse cannot be reached.
        """
        for address, relations in not_built_here(target_steps).items():
            with connect(address) as session:
                for commit in session.last_proofs(relations.values()):
                    self.put(address, relations[commit.relation], commit.publication)


def not_built_here(
    target_steps: Mapping[str, TargetStep],
) -> dict[WarehouseAddress, dict[str, Relation]]:
    """The steps' inputs that other steps build: by warehouse, those that there are, by name."""
    found: dict[WarehouseAddress, dict[str, Relation]] = {}
    building = [it for it in target_steps.values() if it.builds]
    built = {(it.address, str(it.relation)) for it in building if it.relation}
    for target_step in building:
        for relation in _of_steps(target_step):
            if (target_step.address, str(relation)) not in built:
                found.setdefault(target_step.address, {})[str(relation)] = relation
    return found


def _of_steps(target_step: TargetStep) -> Iterator[Relation]:
    project = target_step.project
    for key, relation in relations_read(project, target_step.step, target_step.target):
        if key in project.steps:
            yield relation
