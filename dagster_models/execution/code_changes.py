"""``on_code_change: full_refresh``: which models a run builds in full, as other code has built the
rows that are there. This is decided once, before the first step, by the commit records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect


def _of_other_code(target_steps: Mapping[str, TargetStep]) -> set[str]:
    """The keys of those steps whose last build was of other code, and that say so."""
    found: set[str] = set()
    for address, steps in _asking(target_steps).items():
        relations = {key: it.relation for key, it in steps.items() if it.relation is not None}
        with connect(address) as session:
            last = {it.relation: it for it in session.last_proofs(relations.values())}
        for key, relation in relations.items():
            commit = last.get(str(relation))
            if commit is not None and commit.code_version != steps[key].step.code_version:
                found.add(key)
    return found


def in_full_after_a_change(target_steps: Mapping[str, TargetStep]) -> dict[str, TargetStep]:
    """The steps; as builds in full those whose last build was of other code, and that say so.

    Raises:
        WarehouseError: the warehouse cannot be reached.
    """
    changed = _of_other_code(target_steps)
    return {
        key: replace(it, full_refresh=True) if key in changed else it
        for key, it in target_steps.items()
    }


def refresh_notes(
    asked: Mapping[str, TargetStep], target_steps: Mapping[str, TargetStep]
) -> Iterator[str]:
    """What a run says of builds in full: those that it was asked for and does not do, and those
    that nobody asked for. *asked*: the steps before ``in_full_after_a_change``."""
    for key, it in target_steps.items():
        if it.full_refresh and it.why_never_refreshed:
            yield f"{it.name} is not built in full, as {it.why_never_refreshed}"
        elif it is not asked[key]:
            yield f"{it.name} is built in full, as its code has changed (on_code_change)"


def _asking(
    target_steps: Mapping[str, TargetStep],
) -> dict[WarehouseAddress, dict[str, TargetStep]]:
    found: dict[WarehouseAddress, dict[str, TargetStep]] = {}
    for key, it in target_steps.items():
        asks = it.builds and it.step.config.on_code_change == "full_refresh"
        if asks and not it.is_built_in_full:
            found.setdefault(it.address, {})[key] = it
    return found
