"""What Dagster shows of a step that did not succeed: metadata of its failure, and of an observation
of its asset.

Dagster's page of an asset is red after any run in which the asset was not built, and names only the
run. The observation says there what became of the step, on which target, and because of what.
"""

from __future__ import annotations

from typing import Any

from dagster import AssetKey, MetadataValue

from dagster_models.reporting.explain_text import PREFIX
from dagster_models.reporting.results import StepResult
from dagster_models.reporting.wording import path_text


def end_metadata(result: StepResult, target: str, cause: AssetKey | None) -> dict[str, Any]:
    """``target``: "" for a step that is not ours; ``cause``: the asset of the root cause."""
    found: dict[str, Any] = {f"{PREFIX}/state": result.state}
    if target:
        found[f"{PREFIX}/target"] = target
    if result.relation:
        found[f"{PREFIX}/relation"] = result.relation
    if cause is not None:
        found[f"{PREFIX}/root_cause"] = MetadataValue.asset(cause)
    if len(result.path) > 1:
        found[f"{PREFIX}/path"] = path_text(result)
    return found
