"""Tests that nobody has written: each model is built from empty tables, whatever comes of it.

They say whether the warehouse takes the SQL, as `dbt build --empty` does; and nothing is published.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster_models.core.model import Project
from dagster_models.core.unit_tests import GivenRows, UnitTest
from dagster_models.project.unit_tests.link import TESTED

_FROM, _INTO = "from empty tables", "into an empty table"
#: The kinds whose next build is another one than the first.
_ADDED_TO = ("incremental", "snapshot")


def empty_tests(project: Project) -> Iterator[UnitTest]:
    """One of each model that unit tests can build, and a second one, of its next build, where a
    build adds to the table. The windows of partitions are left out of both: it is built in full."""
    for step in project.steps.values():
        if step.kind != "sql" or step.built_as not in TESTED:
            continue
        yield UnitTest(step.key, _FROM, step.location, None)
        if step.config.materialized in _ADDED_TO and step.config.partitions is None:
            this = {step.key: GivenRows(step.location)}
            yield UnitTest(step.key, _INTO, step.location, None, this)
