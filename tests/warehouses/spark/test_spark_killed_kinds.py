"""What adds to a table on Spark is killed at any moment: each version is what its proofs say.

The oracle is plain Python: the attempts whose proofs the log has, one after the other, beside the
rows of each version as delta-rs reads them. DAGSTER_MODELS_SPARK_KILLS is the number of kills.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from functools import partial
from typing import Any

import pytest
from test_spark_killed import (
    SERVER_EACH,
    attempts_at,
    server,
    settings,
    shared,
    start,
    unproved,
)

from connect_server import ConnectServer
from dagster_models.warehouses.spark import session as spark
from killed_writers import Start, kill_at_random
from spark_server import SparkServer
from spark_writer import ROWS_ADDED, T, day
from systems import rows_of_version

__all__ = ("server", "settings", "shared", "start")  # the fixtures

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
    rows = rows_of_version(location, version)
    numbers = rows.column("n").to_pylist()
    ends = [None] * len(numbers)
    if "valid_to" in rows.column_names:
        ends = rows.column("valid_to").to_pylist()
    return Counter((number, end is None) for number, end in zip(numbers, ends, strict=True))


def disagreements(
    settings: dict[str, Any], kind: str, said: list[int], first: int
) -> tuple[list[str], int, int]:
    """``unproved``, and where the rows of the last versions are others."""
    location = settings["location"]
    with contextlib.closing(spark.connect(settings)) as warehouse:
        session = warehouse.session("settles")
        session.fence(f"writer-{first}", 10, T)
        published = attempts_at(location)
        found, doubted, following = unproved(session, published, said, first)
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
    return found, doubted, following


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_kills(
    server: ConnectServer, start: Start, settings: dict[str, Any], kind: str
) -> None:
    kills = 10 if isinstance(server, SparkServer) else 50
    kill_kind_at_random(server, start, settings, kills, kind)


@pytest.mark.parametrize("kind", ["merge"])
def test_a_kill_at_a_random_moment(
    server: ConnectServer, start: Start, settings: dict[str, Any], kind: str
) -> None:
    kill_kind_at_random(server, start, settings, KILLS, kind)


def kill_kind_at_random(
    server: ConnectServer, start: Start, settings: dict[str, Any], kills: int, kind: str
) -> None:
    settings = {**server.settings, **settings}
    begin = partial(start, settings, dies="", kind=kind)
    each = SERVER_EACH if isinstance(server, SparkServer) else 3
    kill_at_random(server, begin, kills, kind, partial(disagreements, settings, kind), each)
    print(f"{len(attempts_at(settings['location']))} publications")
