"""What `target.` of a dbt project is, as far as the manifest shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dagster_models.dbt.project.manifest import STEPS, Manifest


def target_values(manifest: Manifest, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The schema and the database are those of the nodes that do not set their own. *given* goes
    before what is found."""
    plain = [
        it
        for it in manifest.nodes.values()
        if it.kind in STEPS and it.package == manifest.project_name
    ]
    schemas = Counter(it.relation.schema for it in plain if not it.config.get("schema"))
    databases = Counter(it.relation.database for it in plain if not it.config.get("database"))
    database = databases.most_common(1)[0][0] if databases else None
    schema = schemas.most_common(1)[0][0] if schemas else None
    found = {
        "name": name,
        "target_name": name,
        "type": manifest.adapter_type,
        "profile_name": manifest.projects[manifest.project_name].given.values.get("profile"),
        "schema": schema,
        "dataset": schema,
        "database": database,
        "dbname": database,
        "project": database,
    }
    return {**{key: it for key, it in found.items() if it is not None}, **given}
