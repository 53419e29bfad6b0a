"""Questions to a warehouse between steps, each on a session of its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.parts import asked_for, built
from dagster_models.core.tasks import BuildTask, PythonTask, Task
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import WarehouseError, WarehouseLost
from dagster_models.execution.runners.events import Lost, PreviousVersion, Settled
from dagster_models.processes import exports
from dagster_models.processes.client.session import connect, settle

_SETTLE_SECONDS = 10.0


def commit_of(lost: Lost, task: Task, address: WarehouseAddress) -> Settled:
    """Whether the lost attempt was committed, by its commit record.

    Waits until the lost session is provably gone, so the answer is final.
    """
    if not isinstance(task, (BuildTask, PythonTask)):
        return Settled(lost.step, committed=False)  # it publishes nothing
    try:
        committed = settle(address, task, lost.session, _SETTLE_SECONDS)
        export = task.extras.export
        if committed and export is not None:
            with suppress(WarehouseError), connect(address) as session:  # else the next run
                exports.settle(session, task.relation, export)
        return Settled(lost.step, committed, partitions=_built(task, address, committed))
    except Exception as error:  # whatever it is, the step must end
        return Settled(lost.step, False, f"its commit record could not be read: {error}")


def _built(
    task: BuildTask | PythonTask, address: WarehouseAddress, committed: bool
) -> tuple[str, ...]:
    """The keys of the partitions that the attempt has committed."""
    wanted = asked_for(task.materialization)
    if committed or not wanted:
        return tuple(partition.key for partition in wanted)
    with connect(address) as session:
        commits = session.ledger(task.relation)
    return built((it for it in commits if it.id == task.id), wanted)


def settled_outcome(lost: Outcome, settled: Settled, task: Task) -> Outcome:
    """What became of a lost attempt, now that its commit record was looked up.

    If that failed, nobody knows, and another attempt would be a gamble.
    """
    lost = replace(lost, partitions=settled.partitions)
    if settled.committed:
        return replace(lost, verdict=Verdict.COMMITTED, error=None)
    if not settled.error or lost.error is None:
        return replace(lost, verdict=Verdict.ROLLED_BACK if task.publishes else Verdict.FAILED)
    message = f"{lost.error.message}; {settled.error}"
    return replace(lost, error=replace(lost.error, message=message, final=True))


def relation_exists(step: str, relation: str, address: WarehouseAddress) -> PreviousVersion:
    """Whether *relation* (SQL), which an earlier run built for *step*, can be read.

    A view whose own relations are gone cannot be read, so nothing can be built on it.
    """
    try:
        with connect(address) as session:
            session.query(f"select 1 as found from {relation} where 1 = 0")
        return PreviousVersion(step, True)
    except Exception as error:  # whatever it is, the run must go on
        refused = isinstance(error, WarehouseError) and not isinstance(error, WarehouseLost)
        unknown = f"it is unknown whether its previous version exists: {error}"
        return PreviousVersion(step, False, "" if refused else unknown)
