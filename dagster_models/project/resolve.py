"""Which step or source a name in SQL means.

A bare name means the one model, seed or source of that name; ``schema.name`` the one with that
key. A model never answers to a name with a catalog (a model of another catalog is another
relation); a declared source does, by its last two parts. Case does not matter.

What the project itself declares goes before sources that other Dagster assets offer: that somebody
adds an asset elsewhere must not make a name of this project ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dagster_models.core.model import Key, Location, Relation, Source
from dagster_models.util.nearest import nearest

Kind = Literal["model", "seed", "script", "source"]

#: difflib compares an unknown name with every name of the project. A project that declares no
#: sources has an unknown one in every model: so many comparisons (about 0.4 s) and no more.
COMPARISONS = 50_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that has a name. ``file``: where; ``relation``: what it is in the warehouse."""

    key: Key
    kind: Kind
    location: Location
    relation: Relation | None = None
    enabled: bool = True
    offered: bool = False  #: by another Dagster asset, not by a file of the project


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why a name means nothing. ``unknown``: nothing bears it; it may still be a table."""

    what: str
    fix: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """All that can be named, by lower-case name and by lower-case (schema, name)."""

    by_name: Mapping[str, tuple[Candidate, ...]]
    by_key: Mapping[tuple[str, str], tuple[Candidate, ...]]
    by_relation: Mapping[str, Candidate]
    suggested: dict[str, str] = field(default_factory=dict)  #: a cache, see COMPARISONS


def source_candidates(sources: Iterable[Source], offered: bool = False) -> list[Candidate]:
    return [Candidate(s.key, "source", s.location, s.relation, offered=offered) for s in sources]


def build_names(candidates: Iterable[Candidate]) -> Names:
    """The index of *candidates*. A source answers to its key and to its relation's own name."""
    by_name: dict[str, list[Candidate]] = {}
    by_key: dict[tuple[str, str], list[Candidate]] = {}
    by_relation: dict[str, Candidate] = {}
    for candidate in candidates:
        key, relation = candidate.key, candidate.relation
        names = {(key.schema.lower(), key.name.lower())}
        if candidate.kind == "source" and relation is not None:
            names.add((relation.schema.lower(), relation.name.lower()))
        elif relation is not None:
            by_relation.setdefault(f"{relation.schema}.{relation.name}".lower(), candidate)
        for pair in names:
            by_key.setdefault(pair, []).append(candidate)
        for name in {name for _, name in names}:
            by_name.setdefault(name, []).append(candidate)
    return Names(
        {name: tuple(found) for name, found in by_name.items()},
        {pair: tuple(found) for pair, found in by_key.items()},
        by_relation,
    )


def resolve(
    names: Names, parts: tuple[str, ...], *, scripts: bool = False, sources: bool = True
) -> Key | Unresolved:
    """What *parts* (outermost first) mean. ``scripts``: headers may name them, SQL cannot."""
    folded = tuple(part.lower() for part in parts)
    if len(folded) == 1:
        found = names.by_name.get(folded[0], ())
    elif len(folded) == 2:
        found = names.by_key.get((folded[0], folded[1]), ())
    else:
        found = names.by_key.get((folded[-2], folded[-1]), ())
        found = tuple(c for c in found if c.kind == "source")
    found = tuple(
        c for c in found if (scripts or c.kind != "script") and (sources or c.kind != "source")
    )
    return _decide(names, parts, found, scripts)


def _decide(
    names: Names, parts: tuple[str, ...], found: tuple[Candidate, ...], scripts: bool
) -> Key | Unresolved:
    live = {c.key: c for c in found if c.enabled and not c.offered}
    live = live or {c.key: c for c in found if c.enabled}
    written = ".".join(parts)
    if len(live) == 1:
        return next(iter(live))
    if live:
        told = [f"{c.key} ({c.kind}, {_where(c)})" for c in live.values()]
        example = min(str(key) for key in live)
        fix = f"Write its schema too, e.g. `{example}`."
        return Unresolved(f"`{written}` is ambiguous: {' or '.join(sorted(told))}", fix)
    if found:
        what = f"`{written}` is disabled (`enabled: false` for {found[0].location.path})"
        return Unresolved(what, "Enable it, or do not read it.")
    kinds = "model, seed, script or source" if scripts else "model, seed or source"
    what = f"`{written}` is no {kinds} of the project"
    return Unresolved(what, _advice(names, parts), True)


def _where(candidate: Candidate) -> str:
    return str(candidate.location.path) or "another Dagster asset"


def _advice(names: Names, parts: tuple[str, ...]) -> str:
    written = ".".join(parts)
    if written not in names.suggested:
        if len(names.suggested) * len(names.by_key) >= COMPARISONS:
            return "Declare it in models/sources.yaml if it is read and not built here."
        names.suggested[written] = _suggestion(names, parts)
    return names.suggested[written]


def _suggestion(names: Names, parts: tuple[str, ...]) -> str:
    renamed = names.by_relation.get(".".join(parts[-2:]).lower())
    if renamed is not None:
        return f"It is the relation of {renamed.key}: write `{renamed.key}`."
    declare = "Declare it in models/sources.yaml if it is read and not built here."
    if len(parts) == 1:
        close = nearest(parts[0], names.by_name)
    else:
        keys = {str(c.key) for found in names.by_key.values() for c in found}
        close = nearest(".".join(parts[-2:]), keys)
    if not close:
        return declare
    return f"Did you mean `{close[0]}`? {declare}"
