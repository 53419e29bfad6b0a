"""The event log storages side by side: Dagster's SQLite class and our pooled one.

    python tests/bench/event_log.py [--events 300] [--assets 100] [--rounds 3]

One process; the classes take turns, so that a drift of the machine's speed hits both, and medians
are told. "Events" are stored directly: log lines (one file) and materialisations (two files), then
the same in batches of 50. "Run" is an in-process run of a chain of assets that do nothing: per step
from the first STEP_START to the last STEP_SUCCESS, and the start-up before it. Seconds depend on
the disk's fsync and on the machine; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from dagster import (
    AssetMaterialization,
    AssetsDefinition,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    asset,
    materialize,
)
from dagster._core.events import StepMaterializationData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.storage import PooledSqliteEventLogStorage

STORAGES = {"stock": SqliteEventLogStorage, "pooled": PooledSqliteEventLogStorage}
YAML = {
    "stock": "telemetry: {enabled: false}\n",
    "pooled": "telemetry: {enabled: false}\nevent_log_storage:\n"
    "  module: dagster_models.storage\n  class: PooledSqliteEventLogStorage\n",
}
BATCH = 50


def events(run_id: str, count: int, of_assets: bool) -> list[EventLogEntry]:
    chance = random.Random(count)

    def one(number: int) -> EventLogEntry:
        name = f"asset_{chance.randrange(100)}"
        materialization = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name="bench",
            step_key=name,
            event_specific_data=StepMaterializationData(
                AssetMaterialization(name, tags={"dagster/data_version": str(number)})
            ),
        )
        return EventLogEntry(
            error_info=None,
            level=10,
            user_message=f"event {number} of {name}",
            run_id=run_id,
            timestamp=time.time(),
            step_key=name,
            job_name="bench",
            dagster_event=materialization if of_assets else None,
        )

    return [one(number) for number in range(count)]


def store(kind: str, folder: str, count: int) -> Iterator[tuple[str, float]]:
    """Events per second, for log lines, materialisations, and those in batches."""
    storage = STORAGES[kind](folder)
    for name, of_assets, size in (
        ("log lines", False, 1),
        ("materialisations", True, 1),
        (f"materialisations by {BATCH}", True, BATCH),
    ):
        run_id = uuid.uuid4().hex
        storage.get_logs_for_run(run_id)  # makes the file: not what is measured
        entries = events(run_id, count, of_assets)
        begin = time.perf_counter()
        for start in range(0, count, size):
            part = entries[start : start + size]
            storage.store_event_batch(part) if size > 1 else storage.store_event(part[0])
        yield f"{name}, events/s", count / (time.perf_counter() - begin)
    storage.dispose()


def chain(length: int) -> Sequence[AssetsDefinition]:
    def one(number: int) -> AssetsDefinition:
        @asset(name=f"a{number}", deps=[f"a{number - 1}"] if number else [], code_version="1")
        def nothing() -> None: ...

        return nothing

    return [one(number) for number in range(length)]


def run(kind: str, home: Path, assets: Sequence[AssetsDefinition]) -> Iterator[tuple[str, float]]:
    """Milliseconds per step of an in-process run, and of its start-up per asset."""
    home.mkdir()
    (home / "dagster.yaml").write_text(YAML[kind])
    os.environ["DAGSTER_HOME"] = str(home)
    with DagsterInstance.get() as instance:
        begin = time.time()
        result = materialize(assets, instance=instance)
        times = defaultdict(list)
        for entry in instance.all_logs(result.run_id):
            times[entry.dagster_event_type].append(entry.timestamp)
    first = times[DagsterEventType.STEP_START][0]
    last = times[DagsterEventType.STEP_SUCCESS][-1]
    yield "run, ms per step", 1000 * (last - first) / len(assets)
    yield "start-up, ms per asset", 1000 * (first - begin) / len(assets)


@contextlib.contextmanager
def batches_of(size: int) -> Iterator[None]:
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = str(size)
    yield
    del os.environ["DAGSTER_EVENT_BATCH_SIZE"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the console is not what is measured
    assets = chain(options.assets)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as root:
        for number in range(options.rounds):
            for kind in STORAGES:
                place = Path(root) / f"{kind}{number}"
                for name, value in store(kind, str(place), options.events):
                    found[name][kind].append(value)
                for name, value in run(kind, place / "home", assets):
                    found[name][kind].append(value)
                with batches_of(1000):
                    for name, value in run(kind, place / "batches", assets):
                        found[f"{name}, batches"][kind].append(value)
    print(f"{'':36}{'stock':>10}{'pooled':>10}{'ratio':>8}")
    for name, values in found.items():
        stock, pooled = (statistics.median(values[kind]) for kind in STORAGES)
        ratio = pooled / stock if "events/s" in name else stock / pooled
        print(f"{name:36}{stock:10.1f}{pooled:10.1f}{ratio:7.1f}x")


if __name__ == "__main__":
    main()
