"""What linking finds out, pass by pass, and how a used name becomes a key."""

from __future__ import annotations

from dataclasses import dataclass, field

from dagster_models.core.model import Check, Key, Location, Source
from dagster_models.project.drafts.draft import NameUse
from dagster_models.project.linking.names import Names, Unresolved, resolve
from dagster_models.project.problems import Report, problem

Edges = dict[Key, dict[Key, Location]]
"""Step -> what it reads -> the place of the first such reference, in order of appearance."""


@dataclass(slots=True)
class Links:
    """What the passes of ``link`` have found out so far.

    ``unknown_references`` is error, warn or ignore. ``resolved`` holds, for each step, the names as
    they are written in its file. ``checks`` are those of checks/, by the model they belong to.
    """

    names: Names
    report: Report
    unknown_references: str
    sources: dict[Key, Source]
    edges: Edges = field(default_factory=dict)
    resolved: dict[Key, dict[str, Key]] = field(default_factory=dict)
    checks: dict[Key, list[Check]] = field(default_factory=dict)
    _ancestors: dict[Key, set[Key]] = field(default_factory=dict)

    def find(self, use: NameUse, *, sources: bool = True) -> Key | None:
        """The key that *use* refers to. If there is none: None, and a problem is reported unless
        unknown names are allowed there."""
        found = resolve(self.names, use.parts, scripts=use.may_be_script, sources=sources)
        if not isinstance(found, Unresolved):
            return found
        severity = "error"
        if found.unknown and not use.required:
            if use.is_written or not use.certain or self.unknown_references == "ignore":
                return None
            severity = "error" if self.unknown_references == "error" else "warning"
        self.report(problem(found.what, use.place, found.fix, severity))
        return None

    def ancestors(self, key: Key) -> set[Key]:
        """All that *key* reads, directly or through others."""
        if key not in self._ancestors:
            found: set[Key] = set()
            pending = [key]
            while pending:
                for read in self.edges.get(pending.pop(), ()):
                    if read not in found:
                        found.add(read)
                        pending.append(read)
            self._ancestors[key] = found
        return self._ancestors[key]

    def add_edge(self, key: Key, read: Key, place: Location) -> None:
        """Add the edge that *key* also reads *read*, and forget the ancestors found so far."""
        self.edges[key][read] = place
        self._ancestors.clear()
