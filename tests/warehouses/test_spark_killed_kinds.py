"""What adds to a table on Spark is killed at any moment: each version is what its proofs say.

The oracle is plain Python: the attempts whose proofs the log has, one after the other, beside the
rows of each version as delta-rs reads them. DAGSTER_MODELS_SPARK_KILLS is the number of kills.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_spark_killed import attempts_at, server, start

from dagster_models.core.tasks import AttemptId
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.spark import session as spark
from killed_writers import Start
from sail_server import SailServer
from spark_writer import ROWS_ADDED, T, day

__all__ = ("server", "start")  # the fixtures

KILLS = int(os.environ.get("DAGSTER_MODELS_SPARK_KILLS", "1"))
KINDS = ("append", "merge", "window", "snapshot")


def rows_after(attempts: list[int], kind: str) -> Counter[tuple[int, bool]]:
    """How many rows of each attempt there are, and whether they are open versions."""
    if kind == "append":
        return Counter({(it, True): ROWS_ADDED for it in attempts})
    if kind == "snapshot":
        return Counter({(it, it == attempts[-1]): ROWS_ADDED for it in attempts})
    if kind == "window":
        days = {day(it): it for it in attempts}
        return Counter({(it, True): ROWS_ADDED for it in days.values()})
    rows = dict[int, int]()
    for attempt in attempts:
        first = attempt % 4 * (ROWS_ADDED // 4)
        rows |= dict.fromkeys(range(first, first + ROWS_ADDED), attempt)
    return Counter((it, True) for it in rows.values())


def rows_at(location: str, version: int) -> Counter[tuple[int, bool]]:
    from deltalake import DeltaTable

    rows = DeltaTable(f"{location}/s/t", version=version).to_pyarrow_table()
    numbers = rows.column("n").to_pylist()
    ends = [None] * len(numbers)
    if "valid_to" in rows.column_names:
        ends = rows.column("valid_to").to_pylist()
    return Counter((number, end is None) for number, end in zip(numbers, ends, strict=True))


def disagreements(
    settings: dict[str, Any], acked: list[int], first: int, kind: str
) -> tuple[list[str], int, int]:
    """What is wrong after a kill; how many attempts were in doubt; the number of the next one."""
    location, found, doubted = settings["location"], list[str](), 0
    with contextlib.closing(spark.connect(settings)) as warehouse:
        session = warehouse.session("settles")
        session.fence(f"writer-{first}", 10, T)
        published = attempts_at(location)
        last = max([first - 1, *published, *acked])
        for attempt in range(first, last + 3):
            proof = find_proof(session, T, AttemptId("killed", "s.t", attempt))
            doubted += attempt not in acked
            if attempt in acked and proof is None:
                found.append(f"{attempt} was acknowledged and has no proof")
            if (proof is not None) != (attempt in published):
                found.append(f"{attempt}: {proof} and {published.get(attempt)}")
        done = sorted(published, key=lambda it: published[it])
        for number, attempt in enumerate(done, 1):
            if attempt >= first and number >= len(done) - 3:
                wanted, seen = (
                    rows_after(done[:number], kind),
                    rows_at(location, published[attempt]),
                )
                if wanted != seen:
                    found.append(f"version {published[attempt]} has {seen} and not {wanted}")
        if done:
            total = sum(rows_after(done, kind).values())
            seen_now = session.query("select count(*) from s.t")[1]
            if seen_now != [(total,)]:
                found.append(f"{total} rows are published, and {seen_now} are read")
    return found, doubted, last + 3


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_kills(server: SailServer, start: Start, tmp_path: Path, kind: str) -> None:
    kill_at_random(server, start, tmp_path, 50, kind)


@pytest.mark.parametrize("kind", ["merge"])
def test_a_kill_at_a_random_moment(
    server: SailServer, start: Start, tmp_path: Path, kind: str
) -> None:
    kill_at_random(server, start, tmp_path, KILLS, kind)


def kill_at_random(server: SailServer, start: Start, tmp_path: Path, kills: int, kind: str) -> None:
    settings = {**server.settings, "location": str(tmp_path / "tables")}
    chance, first, wrong, resolved = random.Random(kind), 1, list[str](), 0
    for number in range(kills):
        writer = start(settings, first, "", kind)
        writer.wait_for(1 + number % 2)
        time.sleep(chance.uniform(0, 0.3))
        if number % 3 == 1:
            server.kill()
            time.sleep(0.1)
            acked = writer.kill()
            server.restart()
        else:
            acked = writer.kill()
        found, doubted, first = disagreements(settings, acked, first, kind)
        wrong += found
        resolved += doubted
    assert wrong == []
    published = len(attempts_at(settings["location"]))
    print(f"{kind}: {kills} kills, {published} publications, {resolved} attempts in doubt")
