"""Attaches each check to a model, and makes sure that what it reads is built before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dagster_models.core.checks import Check
from dagster_models.core.model import Key, Location, Source
from dagster_models.project.drafts.draft import CheckDraft, Draft, NameUse
from dagster_models.project.linking.links import Links
from dagster_models.project.linking.names import Unresolved, resolve
from dagster_models.project.problems import problem


def link_column_checks(draft: Draft, links: Links) -> None:
    """Resolve what the column checks of a step read."""
    key = draft.step.key
    for check in draft.step.checks:
        uses = [use for use in draft.uses if use.check == check.name]
        _add_edges(check, key, _resolved(uses, key, links), links)


def link_source_checks(source: Source, uses: Iterable[NameUse], links: Links) -> Source:
    """The source, with what its checks read. Nothing is built before it, so it has no upstream."""
    found = {use.written: links.find(use) for use in uses}
    return replace(source, resolved={name: key for name, key in found.items() if key is not None})


def attach_check(draft: CheckDraft, links: Links) -> None:
    """Attach a check of checks/ to the model that its header names. If it names none, attach it to
    the most downstream of the models that it reads, so that the others exist when it runs."""
    if draft.model is not None:
        function = resolve(links.names, draft.model.parts, called=True)
        key = function if isinstance(function, Key) else links.find(draft.model, sources=False)
    else:
        key = _most_downstream(draft, links)
        if key is None:
            _report_without_model(draft, links)
    if key in links.ephemerals and draft.model is not None:
        what = f"{key} is ephemeral, and the check `{draft.check.name}` needs a relation"
        fix = "Make it a check of a model that reads it, or make it a view (`materialized: view`)."
        links.report(problem(what, draft.model.place, fix))
        return
    if key is None:
        return
    check = replace(draft.check, model=key)
    _add_edges(check, key, _resolved(draft.uses, key, links), links)
    links.checks.setdefault(key, []).append(check)


def _most_downstream(draft: CheckDraft, links: Links) -> Key | None:
    found = (resolve(links.names, use.parts, called=use.is_call) for use in draft.uses)
    models = links.edges.keys() - set(links.ephemerals)
    steps = dict.fromkeys(key for key in found if isinstance(key, Key) and key in models)
    return max(steps, key=lambda key: len(links.ancestors(key).intersection(steps)), default=None)


def _report_without_model(draft: CheckDraft, links: Links) -> None:
    meant = [resolve(links.names, use.parts, called=use.is_call) for use in draft.uses]
    if any(isinstance(name, Unresolved) and not name.unknown for name in meant):
        for use in draft.uses:
            links.find(use)  # reports which models the name may mean
        return
    what = f"the check `{draft.check.name}` reads none of the project's models"
    fix = "Name its model in a header: `/* @check model: ... */`."
    links.report(problem(what, draft.check.location, fix))


def _resolved(uses: Iterable[NameUse], key: Key, links: Links) -> list[tuple[Key, Location]]:
    """Resolve the names, and add them to the resolved names of the step *key*."""
    found = []
    for use in uses:
        read = links.find(use)
        if read is not None:
            links.resolved[key][use.written] = read
            found.append((read, use.place))
    return found


def _add_edges(check: Check, key: Key, reads: Iterable[tuple[Key, Location]], links: Links) -> None:
    """What a check reads must exist when its model is built, so it becomes the model's upstream."""
    for read, place in reads:
        if read == key or read in links.ancestors(key):
            continue
        if key in links.ancestors(read):
            what = f"the check `{check.name}` of {key} reads {read}, which is built from {key}"
            fix = f"Make it a check of {read}: a check runs when its model is built."
            links.report(problem(what, place, fix))
        else:
            links.add_edge(key, read, place)
