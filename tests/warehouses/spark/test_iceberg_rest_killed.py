"""A writer of Iceberg tables, their REST catalog or Spark is killed at any moment: the histories of
test_spark_killed*.py, with a catalog that answers by itself.

The oracle is pyiceberg, which asks the catalog once it is back. DAGSTER_MODELS_SPARK_KILLS is the
number of kills in each CI.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import test_spark_killed
import test_spark_killed_kinds
from test_spark_killed import KILLS, attempts_at, server, shared, start
from test_spark_killed_kinds import KINDS

from killed_writers import InTurns, Start, kill_at_random
from rest_catalog import OF_LOCATION, RestCatalogServer
from sail_server import SailServer

pytest.importorskip("pyiceberg")

__all__ = ("server", "shared", "start")  # the fixtures


@pytest.fixture
def way() -> str:
    """Of Spark's servers, Sail."""
    return "iceberg"


@pytest.fixture
def settings(server: SailServer, rest_catalog: RestCatalogServer, tmp_path: Path) -> dict[str, Any]:
    location = str(tmp_path / "tables")
    OF_LOCATION[location] = rest_catalog
    return {**server.settings, **rest_catalog.settings, "location": location}


def test_kills_at_random_moments(
    server: SailServer, rest_catalog: RestCatalogServer, start: Start, settings: dict[str, Any]
) -> None:
    kill_at_random_moments(InTurns(rest_catalog, server), start, settings, KILLS, "")


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["", *KINDS])
def test_sixty_kills(
    server: SailServer,
    rest_catalog: RestCatalogServer,
    start: Start,
    settings: dict[str, Any],
    kind: str,
) -> None:
    kill_at_random_moments(InTurns(rest_catalog, server), start, settings, 60, kind)


def kill_at_random_moments(
    servers: InTurns, start: Start, settings: dict[str, Any], kills: int, kind: str
) -> None:
    begin = partial(start, settings, dies="", kind=kind)
    settle: Callable[[list[int], int], tuple[list[str], int, int]]
    if kind:
        settle = partial(test_spark_killed_kinds.disagreements, settings, kind)
    else:
        settle = partial(test_spark_killed.disagreements, settings)
    kill_at_random(servers, begin, kills, f"rest {kind}", settle)
    print(f"{len(attempts_at(settings['location']))} publications")


@pytest.mark.nightly
def test_a_kill_between_the_commit_and_its_answer(start: Start, settings: dict[str, Any]) -> None:
    writer = start(settings, 1, "after_commit")
    writer.wait_for_the_end()
    assert writer.lines() == ["ready"]
    assert [*attempts_at(settings["location"])] == [1]
    assert test_spark_killed.disagreements(settings, [], 1)[0] == []
