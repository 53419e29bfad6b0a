"""A test of dbt -> a file of checks/ with the query that dbt sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dagster_models.dbt.checks.thresholds import Limits, keys_of, limits_of
from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.util.plain_names import plain_name

_COUNT = "count(*)"


@dataclass(frozen=True, slots=True)
class CheckFile:
    """``path`` is below the project's folder; ``sql`` has no header yet."""

    path: str
    header: Mapping[str, Any]
    sql: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).stem


def name_of_test(node: DbtNode) -> str:
    """The name of a test, or of its table where dbt has shortened the name."""
    name = node.name if len(node.name) <= 100 else node.relation.identifier
    return plain_name(name)


def check_files(node: DbtNode, model: str, sql: str) -> Iterator[CheckFile]:
    """The files of a test: two if its thresholds are not numbers of rows."""
    name, config = name_of_test(node), node.config
    head: dict[str, Any] = {"model": model}
    if node.description.strip():
        head["description"] = node.description.strip()
    if config.get("store_failures"):
        head["store_failures"] = True
    sql = sql.strip().rstrip(";")
    calc, limits = config.get("fail_calc") or _COUNT, limits_of(config)
    keys = keys_of(limits)
    if calc == _COUNT and keys is not None and (limits.is_plain or not config.get("limit")):
        shown = {"limit": config["limit"]} if config.get("limit") else {}
        yield CheckFile(f"checks/{name}.sql", {**head, **keys, **shown}, sql)
        return
    if config.get("limit"):
        sql = f"select * from (\n{sql}\n) as dbt_internal_test\nlimit {config['limit']}"
    yield from _calculated(name, head, sql, calc, limits)


def _calculated(
    name: str, head: Mapping[str, Any], sql: str, calc: str, limits: Limits
) -> Iterator[CheckFile]:
    """dbt's number of failures as one row, if it is too many."""
    number = f"select {calc} as failures from (\n{sql}\n) as dbt_internal_test"
    counted = f"select failures from (\n{number}\n) as dbt_internal_calc\nwhere failures "
    if limits.error:
        yield CheckFile(f"checks/{name}.sql", head, f"{counted}{limits.error}")
    if limits.warn:
        less = f" and not (failures {limits.error})" if limits.error else ""
        suffix = "_warn" if limits.error else ""
        says = {**head, "severity": "warn"}
        yield CheckFile(f"checks/{name}{suffix}.sql", says, f"{counted}{limits.warn}{less}")
