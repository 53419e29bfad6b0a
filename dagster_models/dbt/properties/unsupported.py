"""The parts of a dbt project that have nothing in their place here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dagster_models.dbt.project.linked_files import is_led_to
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.remarks import EDIT_PATH, Remark, Weight

#: When a hook of the run takes place -> what a script here says instead.
_HOOKS = {
    "on-run-start": "`downstream:` names the models that need it",
    "on-run-end": "`upstream:` names the models after which it runs",
}


def unsupported_parts(manifest: Manifest, into: Path | None = None) -> Iterator[Remark]:
    """A remark for each of them. *into*: the folder of our project."""
    for node in manifest.nodes.values():
        if node.kind == "operation":
            yield Remark(node.unique_id, _hook(node), Weight.DIFFERS)
        elif node.kind == "analysis":
            yield Remark(node.unique_id, "an analysis: `dagster-models sql` runs such queries")
    for source in manifest.sources.values():
        if source.relation.is_file:
            what = f"it is no table: models read `{source.relation.written}`"
            if into is None or not is_led_to(source, manifest, into):
                what += (
                    f". A relative path begins at the folder of dagster_models.yaml: {EDIT_PATH}"
                )
                yield Remark(source.unique_id, what, Weight.DIFFERS)
            else:
                yield Remark(source.unique_id, what, Weight.NOTE)
    for word, found in (
        ("metric", manifest.metrics),
        ("semantic model", manifest.semantic_models),
        ("saved query", manifest.saved_queries),
        ("function", manifest.functions),
    ):
        for name in found:
            yield Remark(name, f"a {word} has no counterpart")
    for name, entries in manifest.disabled.items():
        for entry in entries:
            if entry.get("resource_type") != "test":
                yield Remark(name, "it is disabled in dbt", Weight.NOTE)


def _hook(node: DbtNode) -> str:
    when = next((tag for tag in node.tags if tag in _HOOKS), "a hook of the run")
    code = " ".join(node.raw_code.split())
    shown = code if len(code) <= 200 else f"{code[:197]}..."
    says = f", whose {_HOOKS[when]}" if when in _HOOKS else ""
    return f"{when}: `{shown}`: no run here does this. Write a script (scripts/){says}"
