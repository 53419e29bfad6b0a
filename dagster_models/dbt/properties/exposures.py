"""The exposures of a dbt project -> exposures.py, with assets of Dagster."""

from __future__ import annotations

from typing import Any

from dagster_models.dbt.project.entry import DbtEntry
from dagster_models.dbt.project.interfaces import Lookup
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.properties.tags_and_owners import owner_of, tags_of
from dagster_models.util.plain_names import plain_name

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
        "kinds": {"exposure", plain_name(str(it.get("type") or "exposure"))},
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
