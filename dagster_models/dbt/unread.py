"""What a dbt project has beside models, seeds, snapshots, sources and tests: exposures become
assets of Dagster; the rest is reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dagster_models.dbt.checks import Lookup
from dagster_models.dbt.entry import DbtEntry
from dagster_models.dbt.labels import owner_of, tags_of
from dagster_models.dbt.manifest import Manifest
from dagster_models.dbt.remarks import Remark, Weight

_HEAD = '''"""The exposures of the dbt project: assets that nothing here builds."""

from dagster import AssetSpec

EXPOSURES = [
'''


def exposures_module(manifest: Manifest, names: Lookup) -> str:
    """exposures.py, whose EXPOSURES go to ``load_project(assets=...)``; "" if there are none."""
    specs = [_spec(it, names) for it in manifest.exposures.values()]
    return f"{_HEAD}{''.join(specs)}]\n" if specs else ""


def _spec(exposure: DbtEntry, names: Lookup) -> str:
    it = exposure.values
    read = exposure.entry("depends_on").texts("nodes")
    keys = [names.name(names.meant(node)).split(".") for node in read if names.name(node)]
    owner = owner_of(exposure.mapping("owner"))
    tags, _ = tags_of(exposure.texts("tags"))
    metadata = {
        **{key: it[key] for key in ("label", "maturity", "url") if it.get(key)},
        **(it.get("meta") or {}),
    }
    arguments: dict[str, Any] = {
        "deps": keys,
        "description": str(it.get("description") or "").strip(),
        "kinds": {"exposure", re.sub(r"\W", "_", str(it.get("type") or "exposure"))},
        "owners": [owner] if owner else [],
        "tags": dict.fromkeys(tags, ""),
        "metadata": metadata,
    }
    lines = "".join(
        f"        {name}={_literal(value)},\n" for name, value in arguments.items() if value
    )
    return f"    AssetSpec(\n        {['exposures', it['name']]!r},\n{lines}    ),\n"


def _literal(value: Any) -> str:
    return f"{{{', '.join(map(repr, sorted(value)))}}}" if isinstance(value, set) else repr(value)


def unread_of(manifest: Manifest) -> Iterator[Remark]:
    """A remark for each part of the project that has nothing in its place."""
    for node in manifest.nodes.values():
        if node.kind == "operation":
            when = next(
                (tag for tag in node.tags if tag.startswith("on-run-")), "a hook of the run"
            )
            what = (
                f"{when}: `{' '.join(node.raw_code.split())[:80]}`: run it in a script (scripts/)"
            )
            yield Remark(node.unique_id, what, Weight.DIFFERS)
        elif node.kind == "analysis":
            yield Remark(node.unique_id, "an analysis: `dagster-models sql` runs such queries")
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
