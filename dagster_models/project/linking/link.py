"""Drafts and sources -> linked steps: names resolved, checks attached, in topological order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from dagster_models.core.checks import Check
from dagster_models.core.model import EMPTY, Key, Location, Source, Step
from dagster_models.errors import Problem
from dagster_models.project.config import EPHEMERAL, FUNCTION
from dagster_models.project.drafts.draft import CheckDraft, Draft, NameUse
from dagster_models.project.ephemeral import check_uses as check_ephemerals
from dagster_models.project.ephemeral import is_ephemeral
from dagster_models.project.incremental import incremental
from dagster_models.project.linking.checks import (
    attach_check,
    link_column_checks,
    link_source_checks,
)
from dagster_models.project.linking.links import Links
from dagster_models.project.linking.names import (
    Unresolved,
    build_names,
    is_function,
    resolve,
    warn_of_own_tables,
)
from dagster_models.project.linking.stored_failures import refuse_shared_tables
from dagster_models.project.problems import Report, problem
from dagster_models.sql.canonical import canonical, version_of
from dagster_models.util.graph import Graph, find_cycles, order

_A = {"view": "a view", EPHEMERAL: "an ephemeral model", FUNCTION: "a function"}


def link(
    drafts: Sequence[Draft],
    checks: Sequence[CheckDraft],
    sources: Sequence[Source],
    offered: Sequence[Source],
    unknown_references: str,
    report: Report,
    built_before: Collection[str] = (),
    uses_of_sources: Mapping[Key, Sequence[NameUse]] | None = None,
    attached: Collection[str] = (),
    unread: Mapping[str, frozenset[str]] = EMPTY,
) -> tuple[dict[Key, Step], dict[Key, Source]]:
    """The enabled steps in topological order, and the sources: the project's own, and those of
    *offered* (other Dagster assets) that something reads. *built_before* are the keys of what runs
    have built, as texts; *uses_of_sources* are the names that the checks of sources read;
    *attached* are the catalogs that targets attach, *unread* is as in ``Links``. Problems are
    reported."""
    own, offered = _joined(sources, offered)
    drafts = _without_duplicates(drafts, own, report)
    built = {draft.step.key for draft in drafts if draft.step.config.enabled}
    offered = [source for source in offered if source.key not in built]  # a model goes before it
    names = build_names([draft.step for draft in drafts], own, offered, attached)
    known = {source.key: source for source in (*offered, *own)}
    now = {str(draft.step.key) for draft in drafts}
    former = [Key(*key.split(".", 1)) for key in built_before if key not in now and "." in key]
    live = [draft for draft in drafts if draft.step.config.enabled]
    ephemerals = [draft.step.key for draft in live if is_ephemeral(draft.step)]
    links = Links(names, report, unknown_references, known, former, ephemerals, unread=unread)
    for draft in live:
        _link_uses(draft, links)
    for draft in live:
        _link_feeds(draft, links)
    for draft in live:
        _drop_self_reference(draft, links)
    graph = _break_cycles(live, links)
    of_sources, uses = [it for it in own if it.checks], uses_of_sources or {}
    if checks or of_sources or any(draft.step.checks for draft in live):
        for draft in live:
            link_column_checks(draft, links)
        for source in of_sources:
            link_source_checks(source, uses.get(source.key, ()), links)
        for check in checks:
            attach_check(check, links)
        graph = _break_cycles(live, links)
    position = {name: index for index, name in enumerate(order(graph))}
    live.sort(key=lambda draft: position[str(draft.step.key)])
    for draft in live:
        _report_writes(draft, links)
    if ephemerals:
        by_key = {draft.step.key: draft for draft in live}
        for draft in live:
            check_ephemerals(draft, links.resolved[draft.step.key], by_key, report)
    steps: dict[Key, Step] = {}
    for draft in live:
        steps[draft.step.key] = _linked(draft.step, links, steps)
    read = {key for reads in links.edges.values() for key in reads}
    refuse_shared_tables(steps.values(), own, report)
    warn_of_own_tables([source for source in own if source.key in read], names, report)
    kept = [*own, *(it for it in offered if it.key in read or it.key in links.checks)]
    return steps, {source.key: _with_checks(source, links) for source in kept}


def _joined(
    sources: Sequence[Source], offered: Sequence[Source]
) -> tuple[list[Source], list[Source]]:
    """The two kinds of sources, without duplicates: a declared source that another Dagster asset
    builds is the same thing, and gets the asset's key. The asset may call its table by the name in
    the warehouse or by the one in the project's SQL, in any case."""
    by_name = {name: source for source in offered for name in _names_of(source)}
    own: list[Source] = []
    taken = {source.key for source in sources}
    for source in sources:
        same = (by_name[n] for n in _names_of(source) if n in by_name)
        found = next((other for other in same if _may_be_in_one_catalog(source, other)), None)
        if found is not None:
            taken.add(found.key)
            source = replace(source, asset_key=source.asset_key or found.asset_key)
        own.append(source)
    return own, [source for source in offered if source.key not in taken]


def _names_of(source: Source) -> tuple[str, str]:
    relation = source.relation
    return f"{relation.schema}.{relation.name}".lower(), str(source.key).lower()


def _may_be_in_one_catalog(one: Source, other: Source) -> bool:
    catalogs = [it.relation.catalog for it in (one, other)]
    return not all(catalogs) or str(catalogs[0]).lower() == str(catalogs[1]).lower()


def _without_duplicates(
    drafts: Sequence[Draft], sources: Sequence[Source], report: Report
) -> list[Draft]:
    """The drafts without those whose key is a duplicate, ignoring upper and lower case. Duplicate
    keys and relations are reported."""
    keys: dict[str, Location] = {}
    relations: dict[str, Location] = {}
    for source in sources:
        if str(source.key).lower() in keys:
            what = f"the source `{source.key}` is declared twice"
            first = keys[str(source.key).lower()]
            report(
                problem(
                    what,
                    source.location,
                    f"Delete one of them; the first is at {first}.",
                    others=(first.path,),
                )
            )
        keys.setdefault(str(source.key).lower(), source.location)
    kept = []
    for draft in drafts:
        step = draft.step
        first = keys.setdefault(str(step.key).lower(), step.location)
        if first is not step.location:
            what = f"`{step.key}` is defined twice, first in {first.path}"
            fix = "Rename one of them: schema and name together must be unique, ignoring case."
            report(problem(what, step.location, fix, others=(first.path,)))
            continue
        kept.append(draft)
        if step.relation is None or not step.config.enabled:
            continue
        first = relations.setdefault(str(step.relation).lower(), step.location)
        if first is not step.location:
            what = f"the relation `{step.relation}` is also built by {first.path}"
            fix = "Change `alias:` or `schema:` of one of them."
            report(problem(what, step.location, fix, others=(first.path,)))
    return kept


# --- references ------------------------------------------------------------------------------


def _link_uses(draft: Draft, links: Links) -> None:
    key = draft.step.key
    edges, resolved = links.edges.setdefault(key, {}), links.resolved.setdefault(key, {})
    seen: dict[str, Key | None] = {}
    for use in draft.uses:
        if use.check or use.given_to or use.may_be_temporary:
            continue
        # A wrong name is reported once per file, and not at each place where it is used.
        folded = f"{'.'.join(use.parts).lower()}{'()' if use.is_call else ''}"
        if folded not in seen:
            seen[folded] = links.find(use)
        found = seen[folded]
        if found is None:
            continue
        resolved[use.written] = found
        if use.beside and found == key:
            continue  # it has its turn, and is built in the same transaction
        if use.beside and use.is_written:
            _report_written(key, found, use, links)
        elif not use.is_written:
            edges.setdefault(found, use.place)
    _report_suspects(draft, links)
    _report_doubtful(draft, links)


def _report_written(key: Key, found: Key, use: NameUse, links: Links) -> None:
    """Warn of a statement that writes what another step builds."""
    what = f"{key} writes to {found}, which it does not build: nothing decides who writes first"
    fix = f"Let {found} read from {key}, or write to a table that no model builds."
    if found not in links.sources:
        links.report(problem(what, use.place, fix, "warning"))


def _report_suspects(draft: Draft, links: Links) -> None:
    """Warn of functions that may read relations which the step does not read otherwise."""
    step, suspects = draft.step, [use for use in draft.uses if use.given_to]
    known = {step.key, *links.edges[step.key]} if suspects else set()
    for use in suspects:
        if f"{use.given_to}()" in links.resolved[step.key]:
            continue  # a function of the project, whose own text says what it reads
        found = resolve(links.names, use.parts)
        if isinstance(found, Unresolved) or found in known:
            continue
        known.add(found)
        what = f"`{use.given_to}(...)` may read {found}, on which {step.key} does not depend"
        fix = f"If it does, add `upstream: {found}` to the header."
        links.report(problem(what, use.place, fix, "warning"))


def _report_doubtful(draft: Draft, links: Links) -> None:
    """Warn of names that mean a temporary table of the file or something of the project."""
    for use in draft.uses if not draft.step.config.upstream else ():
        found = resolve(links.names, use.parts) if use.may_be_temporary else None
        if found is None or isinstance(found, Unresolved):
            continue
        what = f"`{use.written}` may be the temporary table of that name or {found}"
        fix = (
            "Give the temporary table a name of its own, or name the tables that are read in "
            "`upstream:` in the header."
        )
        links.report(problem(what, use.place, fix, "warning"))


def _report_writes(draft: Draft, links: Links) -> None:
    """Warn of a file that writes to what another step builds, when none of the two waits for the
    other: the build may replace what it has written, or not."""
    key, resolved = draft.step.key, links.resolved[draft.step.key]
    written: dict[Key | None, Location] = {}
    for use in draft.uses:
        if use.is_written:
            written.setdefault(resolved.get(use.written), use.place)
    for found, place in written.items():
        if found is None or found == key or found not in links.edges:
            continue
        if found in links.ancestors(key) or key in links.ancestors(found):
            continue
        what = f"it writes to {found}, and nothing says which of the two runs first"
        fix = f"Add `upstream: {found}` to the header, or `downstream: {found}` if it runs before."
        links.report(problem(what, place, fix, "warning"))


def _link_feeds(draft: Draft, links: Links) -> None:
    for feed in draft.feeds:
        found = links.find(feed, sources=False)
        if found is not None:
            links.edges[found].setdefault(draft.step.key, feed.place)


def _drop_self_reference(draft: Draft, links: Links) -> None:
    """A table that reads itself reads its own previous version: the name stays resolved, but the
    edge is dropped. Such SQL cannot build the table the first time, so its author is asked to
    confirm that this is intended. Python code can check whether the table exists."""
    step = draft.step
    place = links.edges[step.key].pop(step.key, None)
    if place is None:
        return
    other = "write the schema of the table that you mean"
    if step.config.materialized in _A:
        fix = f"Make it a table (`materialized: table`) to read its previous version, or {other}."
        if step.config.materialized == FUNCTION:
            fix = "A function cannot call itself: write a recursive CTE."
        what = f"{step.key} is {_A[step.config.materialized]} that reads itself"
        links.report(problem(what, place, fix))
    elif incremental(step):
        pass  # the table is made, empty, before its first build
    elif step.kind == "sql" and not any(use.may_be_script for use in _self_uses(draft, links)):
        what = f"{step.key} reads its own previous version, which does not exist at its first build"
        fix = f"If you mean that, add `upstream: {step.key}` to its header; if not, {other}."
        links.report(problem(what, place, fix, "warning"))


def _self_uses(draft: Draft, links: Links) -> list[NameUse]:
    resolved = links.resolved[draft.step.key]
    return [use for use in draft.uses if resolved.get(use.written) == draft.step.key]


def _graph(links: Links) -> Graph:
    return {str(key): tuple(map(str, reads)) for key, reads in links.edges.items()}


def _break_cycles(live: Sequence[Draft], links: Links) -> Graph:
    """Report the steps that read each other in a cycle, and drop the edges of these cycles: none of
    their steps can be built, and what reads them can still be put in order. Return what is left."""
    while cycles := find_cycles(graph := _graph(links)):
        by_name = {str(draft.step.key): draft.step for draft in live}
        for cycle in cycles:
            steps = [by_name[name] for name in cycle]
            place = links.edges[steps[0].key][steps[1].key]
            fix = "Each reads the next: remove one of these references."
            members = tuple(dict.fromkeys(step.location.path for step in steps))
            what = f"a cycle: {' -> '.join(cycle)}"
            links.report(problem(what, place, fix, others=members))
            for step, read in pairwise(steps):
                links.drop_edge(step.key, read.key)
    return graph


def _linked(step: Step, links: Links, before: Mapping[Key, Step]) -> Step:
    """*before*: the steps that come before it, linked."""
    return replace(
        step,
        resolved=links.resolved[step.key],
        upstream=tuple(links.edges[step.key]),
        checks=_checks_of(step.key, links),
        code_version=_version(step, links, before),
        undeclared=tuple(
            _in_file(it, step)
            for path in (step.location.path, *(module.path for module in step.modules))
            for it in links.undeclared.get(path, ())
        )
        if links.undeclared
        else (),
    )


def _in_file(warning: Problem, step: Step) -> Problem:
    """The warning of a name, at its place in the file of a template."""
    place = step.place(warning.line, warning.column)
    return replace(warning, line=place.line, column=place.column)


def _with_checks(source: Source, links: Links) -> Source:
    checks = _checks_of(source.key, links)
    return replace(source, checks=checks, resolved=links.resolved.get(source.key, {}))


def _checks_of(key: Key, links: Links) -> tuple[Check, ...]:
    """The checks that run with a step, or with nothing else than a source."""
    found: dict[str, Check] = {}
    for check in links.checks.get(key, ()):
        if found.setdefault(check.name, check) is not check:
            what = f"{key} has two checks named `{check.name}`"
            links.report(problem(what, check.location, "Give it another `name:`."))
    return tuple(found.values())


def _version(step: Step, links: Links, before: Mapping[Key, Step]) -> str:
    """The code version, including what the references resolve to: the same text may later read
    another relation. A model that is read is included as its key, so a new alias of that model
    changes only the model's own version. An ephemeral model and a function that is called are part
    of the text."""
    if not step.code_version:
        return ""
    resolved = links.resolved[step.key]
    names = (reference.name for reference in (*step.references, *step.beside))
    found = {name: resolved[name] for name in names if name in resolved}
    meant = {
        name: str(links.sources[key].relation if key in links.sources else key)
        for name, key in found.items()
    }
    for name, key in found.items():
        if key in before and (key in links.ephemerals or is_function(before[key])):
            meant[name] += f" {before[key].code_version}"
    return version_of(step.code_version, canonical(meant))
