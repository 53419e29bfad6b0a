"""Relations of several databases, which are schemas of one database here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dagster_models.dbt.project.manifest import Manifest


def schemas_apart(manifest: Manifest) -> Mapping[str, str]:
    """The steps whose relation differs from that of another step by its database alone -> the
    schema that tells them apart. Those of the database that most steps are in keep theirs."""
    steps = [it for it in manifest.nodes.values() if it.has_relation]
    counts = Counter(it.relation.database for it in steps)
    first: dict[tuple[str, str], str | None] = {}
    found = {}
    for it in sorted(steps, key=lambda it: (-counts[it.relation.database], it.unique_id)):
        relation = it.relation
        if first.setdefault(relation.folded, relation.database) != relation.database:
            found[it.unique_id] = f"{relation.database}_{relation.schema}"
    return found
