"""Copies: models whose query runs in another target of the project, and whose rows come from there.

The names in such a query are those of the other warehouse, and it is sent as it stands but for its
variables: models of this project do not stand in it. What it reads is said in ``upstream:``.
"""

from __future__ import annotations

from collections.abc import Collection

from dagster_models.core.materializations import COPY
from dagster_models.core.model import Step
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

KEYS = (
    *("from", "strategy", "incremental_strategy", "unique_key", "since"),
    *("on_schema_change", "on_code_change", "full_refresh"),
)


def is_copy(step: Step) -> bool:
    return step.config.materialized == COPY


def check_copy(
    step: Step, header: YamlNode | None, targets: Collection[str], report: Report
) -> None:
    """Report a copy from nowhere, and keys that say nothing about how its rows are kept."""
    if not is_copy(step):
        return
    written = header.keys if header is not None else {}
    config = step.config
    if not config.from_target:
        at = written.get("materialized", step.location)
        fix = f"Add `from:` with the name of a target: {', '.join(targets)}."
        report(problem("a copy needs the target that it copies from", at, fix))
    elif config.from_target not in targets:
        what = f"`from`: there is no target `{config.from_target}`"
        fix = suggest(config.from_target, targets, "Targets")
        report(problem(what, written.get("from", step.location), fix))
    if config.strategy and config.since is None and not config.unique_key:
        what = "without `since` and `unique_key` each build copies all rows, and replaces the table"
        fix = "Delete `strategy:`, or add `since:` with the column that grows."
        report(problem(what, written.get("strategy", step.location), fix))
