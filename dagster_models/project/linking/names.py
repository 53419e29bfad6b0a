"""Which step or source a name in SQL means.

A bare name refers to the one model, seed or source of that name, and ``schema.name`` to the one
with that key. A name with a catalog never refers to a model (a model in another catalog is another
relation); its last two parts may refer to a declared source. If the catalog is one that a target
attaches, it must be the source's own. Case does not matter.

What the project itself declares takes precedence over sources that other Dagster assets offer: an
asset that somebody adds elsewhere must not make a name in this project ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dagster_models.core.model import Key, Source, Step
from dagster_models.project.problems import Report, problem
from dagster_models.util.nearest import nearest

Named = Step | Source
"""Something that a name may mean."""

#: difflib compares an unknown name with every name of the project, and a project that declares no
#: sources has an unknown name in every model. At most this many comparisons are made (about 0.4 s).
COMPARISONS = 50_000


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why a name was not resolved. ``unknown``: the project has nothing of this name, but it may
    still be a table in the warehouse."""

    what: str
    fix: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """All that can be named, by lower-case name and by lower-case (schema, name).

    ``offered`` are the keys of sources that other Dagster assets offer; all others are declared by
    the project's own files. ``attached`` are the catalogs that targets attach, in lower case.
    ``letters`` are models by their names and keys as ``_letters`` folds them, once they are needed.
    """

    by_name: Mapping[str, tuple[Named, ...]]
    by_key: Mapping[tuple[str, str], tuple[Named, ...]]
    by_relation: Mapping[str, Step]
    offered: frozenset[Key] = frozenset()
    attached: frozenset[str] = frozenset()
    suggested: dict[str, str] = field(default_factory=dict)  #: a cache, see COMPARISONS
    letters: dict[tuple[str, ...], list[Key]] = field(default_factory=dict)


def build_names(
    steps: Iterable[Step],
    sources: Iterable[Source],
    offered: Iterable[Source],
    attached: Collection[str] = (),
) -> Names:
    """The index of all steps and sources. A source is found by its key and by its relation's own
    name; the relation of a step is only used to suggest the step's name."""
    offered = tuple(offered)
    by_name: dict[str, list[Named]] = {}
    by_key: dict[tuple[str, str], list[Named]] = {}
    by_relation: dict[str, Step] = {}
    items: list[Named] = [*steps, *sources, *offered]
    for item in items:
        key, relation = item.key, item.relation
        names = {(key.schema.lower(), key.name.lower())}
        if isinstance(item, Source):
            names.add(item.relation.folded)
            if _catalog(item) in attached and item.relation.schema == "main":
                names.add((_catalog(item), item.relation.name.lower()))  # as DuckDB reads it, too
        elif relation is not None:
            by_relation.setdefault(f"{relation.schema}.{relation.name}".lower(), item)
        for pair in names:
            by_key.setdefault(pair, []).append(item)
        for name in {name for _, name in names}:
            by_name.setdefault(name, []).append(item)
    return Names(
        {name: tuple(found) for name, found in by_name.items()},
        {pair: tuple(found) for pair, found in by_key.items()},
        by_relation,
        frozenset(source.key for source in offered),
        frozenset(attached),
    )


def _catalog(item: Named) -> str:
    return (item.relation.catalog or "").lower() if item.relation is not None else ""


def resolve(
    names: Names,
    parts: tuple[str, ...],
    *,
    scripts: bool = False,
    sources: bool = True,
    called: bool = False,
) -> Key | Unresolved:
    """The key that *parts* (outermost first) refer to, or why there is none. *scripts*, *sources*:
    whether the name may be that of a script, or of a source. *called*: it is that of a function;
    only a header (*scripts*) names one without calling it."""
    folded = tuple(part.lower() for part in parts)
    if len(folded) == 1:
        found = names.by_name.get(folded[0], ())
    elif len(folded) == 2:
        found = names.by_key.get((folded[0], folded[1]), ())
        if len(found) > 1:  # without its catalog, one of another database is meant by its key only
            here = (it for it in found if _catalog(it) not in names.attached or _is(it, folded))
            found = tuple(here) or found
    else:
        found = names.by_key.get((folded[-2], folded[-1]), ())
        found = tuple(item for item in found if isinstance(item, Source))
        if folded[-3] in names.attached or any(_catalog(it) == folded[-3] for it in found):
            found = tuple(item for item in found if _catalog(item) == folded[-3])
    if len(found) == 1 and not called and _is_plain(found[0]):  # nearly every name
        return found[0].key
    functions = tuple(item for item in found if is_function(item))
    if called:
        of_warehouse = Unresolved(f"`{'.'.join(parts)}` is a function of the warehouse", "", True)
        return _decide(names, parts, functions, scripts) if functions else of_warehouse
    found = tuple(
        item
        for item in found
        if (sources if isinstance(item, Source) else scripts or item.kind != "script")
    )
    relations = found if scripts else tuple(item for item in found if item not in functions)
    if functions and not relations:
        what = f"`{'.'.join(parts)}` is a function"
        return Unresolved(what, f"Call it: `{'.'.join(parts)}(...)`.")
    return _decide(names, parts, relations, scripts)


def _is(item: Named, folded: tuple[str, ...]) -> bool:
    return (item.key.schema.lower(), item.key.name.lower()) == folded


def other_spelling(names: Names, parts: tuple[str, ...]) -> Key | None:
    """The model that an unknown name means all the same: it is the name of its table, or has the
    same letters and digits."""
    if len(parts) > 2:  # another catalog has other relations
        return None
    if (found := names.by_relation.get(".".join(parts).lower())) is not None:
        return found.key
    meant = _by_letters(names).get(_letters(parts), ())
    return meant[0] if len(meant) == 1 else None


def _by_letters(names: Names) -> Mapping[tuple[str, ...], Sequence[Key]]:
    """``names.letters``, filled for the first name that nothing else explains."""
    if not names.letters:
        for item in (item for found in names.by_name.values() for item in found):
            if isinstance(item, Step) and item.kind != "script" and not is_function(item):
                letters = _letters(item.key)
                for folded in (letters[-1:], letters):
                    names.letters.setdefault(folded, []).append(item.key)
    return names.letters


def _letters(parts: Iterable[str]) -> tuple[str, ...]:
    """Names without their case, and without what stands between words."""
    return tuple(re.sub(r"[\W_]", "", part).lower() for part in parts)


def _is_plain(item: Named) -> bool:
    """Whether it is a model or seed that runs and has a relation: it is what its name means."""
    if isinstance(item, Source) or item.kind == "script" or is_function(item):
        return False
    return item.config.enabled


def is_function(item: Named) -> bool:
    return isinstance(item, Step) and item.config.materialized == "function"


def warn_of_own_tables(sources: Iterable[Source], names: Names, report: Report) -> None:
    """Warn of sources that are tables of the project: no reader of one waits for its build."""
    for source in sources:
        relation = source.relation
        if relation is None or relation.catalog:
            continue
        step = names.by_relation.get(f"{relation.schema}.{relation.name}".lower())
        if step is not None and step.key != source.key:
            what = (
                f"the source {source.key} is the table that {step.location.path} builds, and what"
                " reads the source does not wait for that"
            )
            fix = f"Write `{step.key}` where it is read, and delete the source."
            report(problem(what, source.location, fix, "warning"))


def _decide(
    names: Names, parts: tuple[str, ...], found: tuple[Named, ...], scripts: bool
) -> Key | Unresolved:
    enabled = {item.key: item for item in found if isinstance(item, Source) or item.config.enabled}
    own = {key: item for key, item in enabled.items() if not _is_offered(item, names)}
    meant = own or enabled
    written = ".".join(parts)
    if len(meant) == 1:
        return next(iter(meant))
    if meant:
        every = sorted(f"{key} ({_noun(item)}, {_where(item)})" for key, item in meant.items())
        fix = f"Write its schema too, e.g. `{min(map(str, meant))}`."
        return Unresolved(f"`{written}` is ambiguous: {' or '.join(every)}", fix)
    if found:
        what = f"`{written}` is disabled (`enabled: false` for {found[0].location.path})"
        return Unresolved(what, "Enable it, or stop reading it.")
    kinds = "model, seed, script or source" if scripts else "model, seed or source"
    what = f"`{written}` is not a {kinds} of this project"
    return Unresolved(what, _advice(names, parts), True)


def _is_offered(item: Named, names: Names) -> bool:
    return isinstance(item, Source) and item.key in names.offered


def _noun(item: Named) -> str:
    if isinstance(item, Source):
        return "source"
    return "model" if item.kind in ("sql", "python") else item.kind


def _where(item: Named) -> str:
    return item.location.path or "another Dagster asset"


def _advice(names: Names, parts: tuple[str, ...]) -> str:
    written = ".".join(parts)
    if written not in names.suggested:
        if len(names.suggested) * len(names.by_key) >= COMPARISONS:
            return "Declare it in models/sources.yaml if this project only reads it."
        names.suggested[written] = _suggestion(names, parts)
    return names.suggested[written]


def _suggestion(names: Names, parts: tuple[str, ...]) -> str:
    renamed = names.by_relation.get(".".join(parts[-2:]).lower())
    if renamed is not None:
        return f"It is the relation of {renamed.key}: write `{renamed.key}`."
    declare = "Declare it in models/sources.yaml if this project only reads it."
    if len(parts) == 1:
        close = nearest(parts[0], names.by_name)
    else:
        same = names.by_name.get(parts[-1].lower(), ())  # as in source('raw', 'orders') of a seed
        keys = {str(c.key) for found in names.by_key.values() for c in found}
        close = sorted(str(it.key) for it in same) or nearest(".".join(parts[-2:]), keys)
    if not close:
        return declare
    return f"Did you mean `{close[0]}`? {declare}"
