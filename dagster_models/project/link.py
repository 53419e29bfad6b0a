"""Drafts and sources -> steps that know each other: names resolved, checks attached, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from dagster_models.core.model import Check, Key, Location, Source, Step
from dagster_models.project.draft import CheckDraft, Draft, Read
from dagster_models.project.resolve import (
    Candidate,
    Names,
    Unresolved,
    build_names,
    resolve,
    source_candidates,
)
from dagster_models.project.yaml.fields import problem
from dagster_models.project.yaml.nodes import Report
from dagster_models.sql.canonical import canonical, version_of
from dagster_models.util.graph import Graph, find_cycles, order

Edges = dict[Key, dict[Key, Location]]
"""Step -> what it reads -> the place of the first such reference, in order of appearance."""


@dataclass(slots=True)
class _Links:
    """What the passes below find out, one after the other."""

    names: Names
    report: Report
    unknown: str  #: error | warn | ignore
    sources: dict[Key, Source] = field(default_factory=dict)
    edges: Edges = field(default_factory=dict)
    resolved: dict[Key, dict[str, Key]] = field(default_factory=dict)
    checks: dict[Key, list[Check]] = field(default_factory=dict)
    ancestors: dict[Key, set[Key]] = field(default_factory=dict)


def link(
    drafts: Sequence[Draft],
    checks: Sequence[CheckDraft],
    sources: Sequence[Source],
    offered: Sequence[Source],
    unknown_references: str,
    report: Report,
) -> tuple[dict[Key, Step], dict[Key, Source]]:
    """The enabled steps in topological order, and the sources: the project's own, and of the
    *offered* ones (other Dagster assets) those that something reads. Problems are told."""
    own, offered = _joined(sources, offered)
    drafts = _without_duplicates(drafts, own, report)
    candidates = [_candidate(draft) for draft in drafts]
    candidates += source_candidates(own) + source_candidates(offered, offered=True)
    known = {source.key: source for source in (*offered, *own)}
    links = _Links(build_names(candidates), report, unknown_references, known)
    live = [draft for draft in drafts if draft.step.config.enabled]
    for draft in live:
        _link_reads(draft, links)
    for draft in live:
        _link_feeds(draft, links)
    for draft in live:
        _drop_self_reference(draft, links)
    graph = _graph(links)
    circular = _report_cycles(graph, links)
    if not circular and (checks or any(draft.step.checks for draft in live)):
        for draft in live:
            _link_own_checks(draft, links)
        for check in checks:
            _attach(check, links)
        graph = _graph(links)
        circular = _report_cycles(graph, links)
    if not circular:
        position = {name: index for index, name in enumerate(order(graph))}
        live.sort(key=lambda draft: position[str(draft.step.key)])
    steps = {draft.step.key: _finished(draft, links) for draft in live}
    read = {key for reads in links.edges.values() for key in reads}
    kept = [*own, *(source for source in offered if source.key in read)]
    return steps, {source.key: source for source in kept}


def _joined(
    sources: Sequence[Source], offered: Sequence[Source]
) -> tuple[list[Source], list[Source]]:
    """A declared source that another Dagster asset builds is one thing: it gets the asset's key."""
    keys = {source.key: source.asset_key for source in offered}
    own = [replace(s, asset_key=s.asset_key or keys.get(s.key)) for s in sources]
    declared = {source.key for source in sources}
    return own, [source for source in offered if source.key not in declared]


def _candidate(draft: Draft) -> Candidate:
    kinds = {"sql": "model", "python": "model", "seed": "seed", "script": "script"}
    step = draft.step
    return Candidate(
        step.key,
        kinds[step.kind],  # type: ignore[arg-type]
        step.location,
        step.relation,
        step.config.enabled,
    )


def _without_duplicates(
    drafts: Sequence[Draft], sources: Sequence[Source], report: Report
) -> list[Draft]:
    """One draft per key and per relation, whatever the case; the others are told."""
    keys: dict[str, Location] = {}
    relations: dict[str, Location] = {}
    for source in sources:
        if str(source.key).lower() in keys:
            what = f"the source `{source.key}` is declared twice"
            first = keys[str(source.key).lower()]
            report(problem(what, source.location, f"Delete one; the first is {first}."))
        keys.setdefault(str(source.key).lower(), source.location)
    kept = []
    for draft in drafts:
        step = draft.step
        first = keys.setdefault(str(step.key).lower(), step.location)
        if first is not step.location:
            what = f"a second `{step.key}`; the first is {first.path}"
            fix = "Rename one of them: schema and name together must be unique, in any case."
            report(problem(what, step.location, fix))
            continue
        kept.append(draft)
        if step.relation is None or not step.config.enabled:
            continue
        first = relations.setdefault(str(step.relation).lower(), step.location)
        if first is not step.location:
            what = f"the relation `{step.relation}` is built by {first.path} too"
            report(problem(what, step.location, "Change `alias:` or `schema:` of one of them."))
    return kept


# --- references ------------------------------------------------------------------------------


def _find(read: Read, links: _Links, *, sources: bool = True) -> Key | None:
    """The key that *read* means, or None; then it has been told, if it needs to be."""
    found = resolve(links.names, read.parts, scripts=read.scripts, sources=sources)
    if not isinstance(found, Unresolved):
        return found
    if found.unknown and not read.required:
        if read.target or not read.certain or links.unknown == "ignore":
            return None
        severity = "error" if links.unknown == "error" else "warning"
        links.report(problem(found.what, read.place, found.fix, severity))
        return None
    links.report(problem(found.what, read.place, found.fix))
    return None


def _link_reads(draft: Draft, links: _Links) -> None:
    key = draft.step.key
    edges, resolved = links.edges.setdefault(key, {}), links.resolved.setdefault(key, {})
    seen: dict[str, Key | None] = {}
    for read in draft.reads:
        if read.check:
            continue
        # Told once per file: a name that is wrong is wrong at each of its places.
        folded = ".".join(read.parts).lower()
        if folded not in seen:
            seen[folded] = _find(read, links)
        found = seen[folded]
        if found is None:
            continue
        resolved[read.written] = found
        if not read.target:
            edges.setdefault(found, read.place)


def _link_feeds(draft: Draft, links: _Links) -> None:
    for feed in draft.feeds:
        found = _find(feed, links, sources=False)
        if found is not None:
            links.edges[found].setdefault(draft.step.key, feed.place)


def _drop_self_reference(draft: Draft, links: _Links) -> None:
    """A table that reads itself reads what it was before: its name stays resolved, and there is no
    edge. SQL that does so has no first build unless somebody made the table, so it is asked to say
    that it is meant; Python code can look whether the table is there."""
    step = draft.step
    place = links.edges[step.key].pop(step.key, None)
    if place is None:
        return
    other = "write the schema of the table that is meant"
    if step.config.materialized == "view":
        fix = f"Make it a table (`materialized: table`) to read its previous version, or {other}."
        links.report(problem(f"{step.key} is a view that reads itself", place, fix))
    elif step.kind == "sql" and not any(read.scripts for read in _self_reads(draft, links)):
        what = f"{step.key} reads itself: its previous version, which its first build does not have"
        fix = f"Say that it is meant, by `upstream: {step.key}` in its header, or {other}."
        links.report(problem(what, place, fix, "warning"))


def _self_reads(draft: Draft, links: _Links) -> list[Read]:
    resolved = links.resolved[draft.step.key]
    return [read for read in draft.reads if resolved.get(read.written) == draft.step.key]


def _graph(links: _Links) -> Graph:
    return {str(key): tuple(map(str, reads)) for key, reads in links.edges.items()}


def _report_cycles(graph: Graph, links: _Links) -> bool:
    cycles = find_cycles(graph)
    by_name = {str(key): key for key in links.edges} if cycles else {}
    for cycle in cycles:
        place = links.edges[by_name[cycle[0]]][by_name[cycle[1]]]
        fix = "Each reads the next: take one of these references away."
        links.report(problem(f"a circle: {' -> '.join(cycle)}", place, fix))
    return bool(cycles)


# --- checks ----------------------------------------------------------------------------------


def _ancestors(key: Key, links: _Links) -> set[Key]:
    """All that *key* reads, directly or through others."""
    if key not in links.ancestors:
        found: set[Key] = set()
        todo = [key]
        while todo:
            for read in links.edges.get(todo.pop(), ()):
                if read not in found:
                    found.add(read)
                    todo.append(read)
        links.ancestors[key] = found
    return links.ancestors[key]


def _link_check(
    check: Check, key: Key, reads: Iterable[tuple[Key, Location]], links: _Links
) -> None:
    """What a check reads must be there when its model is built: it becomes an upstream of it."""
    for read, place in reads:
        if read == key or read in _ancestors(key, links):
            continue
        if key in _ancestors(read, links):
            what = f"the check `{check.name}` of {key} reads {read}, which is built from {key}"
            fix = f"Make it a check of {read}: a check runs when its model is built."
            links.report(problem(what, place, fix))
            continue
        links.edges[key][read] = place
        links.ancestors.clear()


def _link_own_checks(draft: Draft, links: _Links) -> None:
    key = draft.step.key
    for check in draft.step.checks:
        reads = [read for read in draft.reads if read.check == check.name]
        _link_check(check, key, _resolved_reads(reads, key, links), links)


def _resolved_reads(reads: Iterable[Read], key: Key, links: _Links) -> list[tuple[Key, Location]]:
    found = []
    for read in reads:
        target = _find(read, links)
        if target is not None:
            links.resolved[key][read.written] = target
            found.append((target, read.place))
    return found


def _attach(draft: CheckDraft, links: _Links) -> None:
    """A query of checks/ goes to the model that its header names, else to the most downstream of
    those that it reads: then all others are there when it runs."""
    if draft.model is not None:
        key = _find(draft.model, links, sources=False)
        if key is None:
            return
    else:
        key = _most_downstream(draft, links)
        if key is None:
            named = [resolve(links.names, read.parts) for read in draft.reads]
            if any(isinstance(name, Unresolved) and not name.unknown for name in named):
                for read in draft.reads:
                    _find(read, links)  # tells which models it may mean
                return
            what = f"the check `{draft.check.name}` reads no model of the project"
            fix = "Name the model that it is about: `/* @check model: ... */`."
            links.report(problem(what, draft.check.location, fix))
            return
    check = replace(draft.check, model=key)
    _link_check(check, key, _resolved_reads(draft.reads, key, links), links)
    links.checks.setdefault(key, []).append(check)


def _most_downstream(draft: CheckDraft, links: _Links) -> Key | None:
    found = (resolve(links.names, read.parts) for read in draft.reads)
    steps = dict.fromkeys(key for key in found if isinstance(key, Key) and key in links.edges)
    return max(steps, key=lambda key: len(_ancestors(key, links).intersection(steps)), default=None)


def _finished(draft: Draft, links: _Links) -> Step:
    step = draft.step
    own = {check.name for check in step.checks}
    checks = list(step.checks)
    for check in links.checks.get(step.key, ()):
        if check.name in own:
            what = f"{step.key} has two checks named `{check.name}`"
            links.report(problem(what, check.location, "Give it another `name:` in its header."))
        own.add(check.name)
        checks.append(check)
    return replace(
        step,
        resolved=links.resolved[step.key],
        upstream=tuple(links.edges[step.key]),
        checks=tuple(checks),
        code_version=_version(step, links),
    )


def _version(step: Step, links: _Links) -> str:
    """With what its references mean: the same text may come to read another relation.

    A model is known by its key, so that a new alias of it changes its own version only.
    """
    if not step.code_version:
        return ""
    resolved = links.resolved[step.key]
    found = {ref.name: resolved[ref.name] for ref in step.references if ref.name in resolved}
    meant = {
        name: str(links.sources[key].relation if key in links.sources else key)
        for name, key in found.items()
    }
    return version_of(step.code_version, canonical(meant))
