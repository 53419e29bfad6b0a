"""What may be why the rows of a relation differ, as hints for a reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.verification.relations import RelationResult, RelationState

_HINTS = {
    "its text asks the clock": r"\b(current_(date|time|timestamp)|localtimestamp|now|today"
    r"|clock_timestamp|get_current_timestamp|getdate|sysdate)\b",
    "its text has random values": r"\b(random|rand|uuid|gen_random_uuid|uuid_generate_v4"
    r"|setseed|tablesample)\b",
    "its text takes rows in an order, in which some may be equal": r"\b(row_number|string_agg"
    r"|listagg|array_agg|group_concat|first|last|first_value|last_value|any_value|arg_max|arg_min"
    r"|limit|distinct\s+on)\b",
}
_DIFFERENT = (RelationState.DIFFERS, RelationState.MOMENT)


def with_reasons(
    manifest: Manifest, results: Sequence[RelationResult]
) -> tuple[RelationResult, ...]:
    states = {it.unique_id: it.state for it in results}

    def noted(it: RelationResult) -> RelationResult:
        if it.state not in _DIFFERENT or not any(it.only):
            return it
        hints = tuple(_hints(manifest.nodes[it.unique_id], manifest, states))
        return replace(it, notes=(*it.notes, *hints))

    return tuple(map(noted, results))


def _hints(node: DbtNode, manifest: Manifest, states: Mapping[str, RelationState]) -> Iterator[str]:
    different = [
        it.rpartition(".")[2] for it in _reads(node, manifest) if states.get(it) in _DIFFERENT
    ]
    if different:
        yield f"it reads {', '.join(different)}, which differs"
    text = node.compiled_code or node.raw_code  # the former has ephemeral models in it
    for hint, pattern in _HINTS.items():
        if re.search(pattern, text, re.IGNORECASE):
            yield hint


def _reads(node: DbtNode, manifest: Manifest) -> Iterator[str]:
    """The relations that it reads, also by ephemeral models."""
    pending, seen = [*node.depends_on], set()
    while pending:
        name = pending.pop(0)
        of = manifest.nodes.get(name)
        if name in seen or of is None:
            continue
        seen.add(name)
        if of.relation.written is None:
            pending += of.depends_on
        else:
            yield name
