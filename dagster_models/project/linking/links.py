"""What linking finds out, pass by pass, and how a used name becomes a key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dagster_models.core.checks import Check
from dagster_models.core.model import EMPTY, Key, Location, Source
from dagster_models.errors import Problem
from dagster_models.project.drafts.draft import NameUse
from dagster_models.project.linking.names import Names, Unresolved, other_spelling, resolve
from dagster_models.project.problems import Report, problem

Edges = dict[Key, dict[Key, Location]]
"""Step -> what it reads -> the place of the first such reference, in order of appearance."""


def is_named(key: Key, parts: tuple[str, ...]) -> bool:
    """Whether *parts* (outermost first) may name the model of that key; see ``names.resolve``."""
    folded = tuple(part.lower() for part in parts)
    return folded in ((key.name.lower(),), (key.schema.lower(), key.name.lower()))


@dataclass(slots=True)
class Links:
    """What the passes of ``link`` have found out so far.

    ``unknown_references`` is error, warn or ignore. ``former`` are the keys of models that were
    built before and that no file builds any more. ``ephemerals`` are models without a relation.
    ``resolved`` holds, for each step, the names as they are written in its file. ``checks`` are
    all checks, by the step or source that they run with. ``undeclared`` are the warnings of names
    that mean nothing in the project, by file. ``unread`` are YAML files that are wrong as a whole,
    with the names that they may declare.
    """

    names: Names
    report: Report
    unknown_references: str
    sources: dict[Key, Source]
    former: Collection[Key] = ()
    ephemerals: Collection[Key] = ()
    edges: Edges = field(default_factory=dict)
    resolved: dict[Key, dict[str, Key]] = field(default_factory=dict)
    checks: dict[Key, list[Check]] = field(default_factory=dict)
    unread: Mapping[str, frozenset[str]] = EMPTY
    undeclared: dict[str, list[Problem]] = field(default_factory=dict)
    _ancestors: dict[Key, set[Key]] = field(default_factory=dict)

    def find(self, use: NameUse, *, sources: bool = True) -> Key | None:
        """The key that *use* refers to. If there is none: None, and a problem is reported unless
        unknown names are allowed there."""
        found = resolve(
            self.names, use.parts, scripts=use.may_be_script, sources=sources, called=use.is_call
        )
        if not isinstance(found, Unresolved):
            return found
        if use.is_call and found.unknown:  # a function of the warehouse
            return None
        severity = "error"
        if found.unknown and not use.required:
            if use.is_written or not use.certain:
                return None
            is_sure = not use.may_be_temporary and not use.given_to
            if is_sure and any(is_named(key, use.parts) for key in self.former):
                self._report_former(use, found)
                return None
            if is_sure and (meant := other_spelling(self.names, use.parts)):
                self._report_spelling(use, meant)
                return None
            if is_sure and (path := self._may_declare(use.parts)):
                what = f"`{'.'.join(use.parts)}` may be declared in {path}, which is wrong"
                self.report(problem(what, use.place, f"Correct {path}."))
                return None
            if self.unknown_references == "ignore":
                return None
            severity = "error" if self.unknown_references == "error" else "warning"
        reported = problem(found.what, use.place, found.fix, severity)
        self.report(reported)
        if severity == "warning":
            self.undeclared.setdefault(use.place.path, []).append(reported)
        return None

    def _may_declare(self, parts: tuple[str, ...]) -> str:
        """The path of a YAML file that is wrong, and has these names; "" if there is none."""
        names = {part.lower() for part in parts[-2:]}
        return next((path for path, known in self.unread.items() if names <= known), "")

    def _report_spelling(self, use: NameUse, meant: Key) -> None:
        """Nothing would build the model before what reads it by this name."""
        what = f"`{'.'.join(use.parts)}` is not a model of this project, but {meant} is"
        fix = f"Write `{meant}`. If it is another table, declare it in models/sources.yaml."
        self.report(problem(what, use.place, fix))

    def _report_former(self, use: NameUse, found: Unresolved) -> None:
        """Whatever is done about unknown names: nobody brings this one up to date any more."""
        written = ".".join(use.parts)
        what = f"`{written}` was a model of this project, and no file builds it any more:"
        what += " its table may still be there, with the rows of its last build"
        fix = f"Write its new name. {found.fix} What is left of it is listed by"
        fix += " `dagster-models clean --relations`."
        self.report(problem(what, use.place, fix))

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

    def drop_edge(self, key: Key, read: Key) -> None:
        del self.edges[key][read]
        self._ancestors.clear()
