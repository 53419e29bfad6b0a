"""What the rows of a step are made of, and the version of each of these in its commit record.

    a step      <code version>@<publication>    the commit that made what was read
                <code version>                  nobody knew which commit that was
    a source    rows@<fingerprint>              what it held; only a run that asks for it reads that

The publication or fingerprint is found out before the step reads anything. What another run writes
in between is therefore recorded as older than it was, and never as newer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from dagster_models.compilation.sql_text import relation_for
from dagster_models.core.materializations import COPY
from dagster_models.core.model import Key, Project, Relation, Step, Target

#: Recorded as the version of an upstream that failed in this run: the step has read an older
#: build of it. This value never equals a real version.
UNKNOWN_VERSION = "unknown"

#: The kinds that have rows of their own. Through any other kind, such as a view, a reader reads
#: what that one reads.
_HOLDS_ROWS = frozenset({"table", "incremental", "snapshot", COPY})

Known = Mapping[str, str]
"""Relation -> the publication of a step, or the ``rows_version`` of a source."""
_ROWS = "rows@"


def rows_version(fingerprint: str) -> str:
    """The version of a source whose rows have this fingerprint."""
    return f"{_ROWS}{fingerprint}"


def holds_rows(step: Step) -> bool:
    """Whether what is read of the step was computed when it was built, and not when it is read."""
    return step.kind != "sql" or step.config.materialized in _HOLDS_ROWS


def inputs_of(project: Project, step: Step) -> list[Key]:
    """The steps and sources that *step* reads, with what is behind its views."""
    found: dict[Key, None] = {}
    todo = list(reversed(step.upstream))
    while todo:
        key = todo.pop()
        if key in found:
            continue
        found[key] = None
        other = project.steps.get(key)
        if other is not None and not holds_rows(other):
            todo += reversed(other.upstream)
    return list(found)


def relations_read(project: Project, step: Step, target: Target) -> Iterator[tuple[Key, Relation]]:
    """``inputs_of`` without scripts, each with its relation on *target*."""
    for key in inputs_of(project, step):
        if key in project.sources or project.steps[key].relation is not None:
            yield key, relation_for(project, key, target)


def input_versions(
    project: Project, step: Step, target: Target, known: Known, failed: Collection[str] = ()
) -> dict[str, str]:
    """The version of each input, as the step's commit record keeps it. ``failed`` names the
    upstreams whose previous versions the step reads."""
    found = {
        str(key): project.steps[key].code_version
        for key in inputs_of(project, step)
        if key in project.steps
    }
    for key, relation in relations_read(project, step, target):
        publication = known.get(str(relation))
        if publication is not None and key in project.steps:
            found[str(key)] += f"@{publication}"
        elif publication is not None:
            found[str(key)] = publication
    return {**found, **dict.fromkeys(failed, UNKNOWN_VERSION)}


def is_complete(version: str | None) -> bool:
    """Whether the version says exactly what was read."""
    return version is not None and "@" in version


def codes(step: Step, versions: Mapping[str, str]) -> dict[str, str]:
    """The code version of each step that *step* names, out of its input versions."""
    named = {str(key) for key in step.upstream}
    return {
        name: version.partition("@")[0]
        for name, version in versions.items()
        if name in named and not version.startswith(_ROWS)
    }
