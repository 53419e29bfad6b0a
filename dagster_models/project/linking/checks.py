"""Attaches each check to the step that runs it, with which all that it reads is built.

That is the step of its own model; or, if it reads a model that is built from that one, the most
downstream of those that it reads. A check of a source runs alone, or with the most downstream
model that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dagster_models.core.checks import Check
from dagster_models.core.model import Key, Location, Source
from dagster_models.project.drafts.draft import CheckDraft, Draft, NameUse
from dagster_models.project.ephemeral import refuse_as_text
from dagster_models.project.linking.links import Links
from dagster_models.project.linking.names import Unresolved, resolve
from dagster_models.project.problems import problem

Reads = Sequence[tuple[str, Key, Location]]
"""What a check reads: each name as it is written, its key, and the place."""


def link_column_checks(draft: Draft, links: Links) -> None:
    """Attach the checks in the header of a step."""
    key = draft.step.key
    for check in draft.step.checks:
        uses = [use for use in draft.uses if use.check == check.name]
        _attach(check, key, _found(uses, links), links)


def link_source_checks(source: Source, uses: Iterable[NameUse], links: Links) -> None:
    """Attach the checks of a source; *uses* are the names in all of them."""
    for check in source.checks:
        own = [use for use in uses if use.check == check.name]
        _attach(check, source.key, _found(own, links), links)


def attach_check(draft: CheckDraft, links: Links) -> None:
    """Attach a check of checks/. Its model is the one that its header names, or else the most
    downstream of those that it reads, or else the first source that it reads. Nothing more is
    reported of one that does not parse."""
    if draft.broken:
        links = replace(links, report=lambda problem: None)
    if draft.model is not None:
        function = resolve(links.names, draft.model.parts, called=True)
        key = function if isinstance(function, Key) else links.find(draft.model)
    else:
        key = _model_of(draft, links)
        if key is None:
            _report_without_model(draft, links)
    if key in links.ephemerals and draft.model is not None:
        what = f"{key} is ephemeral, and the check `{draft.check.name}` needs a relation"
        fix = "Make it a check of a model that reads it, or make it a view (`materialized: view`)."
        links.report(problem(what, draft.model.place, fix))
        return
    if key is not None:
        check = replace(draft.check, model=key)
        for use in draft.uses:
            if use.is_text and links.find(use) in links.ephemerals:
                refuse_as_text(use, links.report)
        _attach(check, key, _found(draft.uses, links), links)


def _model_of(draft: CheckDraft, links: Links) -> Key | None:
    found = (resolve(links.names, use.parts, called=use.is_call) for use in draft.uses)
    keys = [key for key in found if isinstance(key, Key)]
    sources = (key for key in keys if key in links.sources)
    return _most_downstream(keys, links) or next(sources, None)


def _most_downstream(keys: Iterable[Key], links: Links) -> Key | None:
    """The model among these with which the others are there."""
    models = links.edges.keys() - set(links.ephemerals)
    steps = dict.fromkeys(key for key in keys if key in models)
    return max(steps, key=lambda key: len(links.ancestors(key).intersection(steps)), default=None)


def _report_without_model(draft: CheckDraft, links: Links) -> None:
    meant = [resolve(links.names, use.parts, called=use.is_call) for use in draft.uses]
    if any(isinstance(name, Unresolved) and not name.unknown for name in meant):
        for use in draft.uses:
            links.find(use)  # reports which models the name may mean
        return
    what = f"the check `{draft.check.name}` reads none of the project's models and sources"
    fix = "Name its model in a header: `/* @check model: ... */`."
    if draft.check.function is not None:
        fix = "Name its model in the docstring, below a line `@check`: `model: ...`."
    links.report(problem(what, draft.check.location, fix))


def _found(uses: Iterable[NameUse], links: Links) -> Reads:
    found = ((use.written, links.find(use), use.place) for use in uses)
    return [(written, key, place) for written, key, place in found if key is not None]


def _attach(check: Check, key: Key, reads: Reads, links: Links) -> None:
    """Attach a check of *key* to the step that runs it, and add what it reads to the upstreams of
    that step."""
    runs_with = _runs_with(key, (read for _, read, _ in reads), links)
    for name in {key, runs_with}:
        links.resolved.setdefault(name, {}).update((written, read) for written, read, _ in reads)
    if runs_with != key:
        _refuse_percentages(check, runs_with, links)
        check = _moved(check, key, runs_with)
    links.checks.setdefault(runs_with, []).append(check)
    for _, read, place in reads if runs_with not in links.sources else ():
        # An ephemeral model may itself read the step: then what else it reads must be there.
        for needed in _built((read,), links) if runs_with in links.ancestors(read) else (read,):
            if needed != runs_with and needed not in links.ancestors(runs_with):
                links.add_edge(runs_with, needed, place)


def _built(keys: Iterable[Key], links: Links) -> Iterator[Key]:
    """These without ephemeral models, in place of which stands what they read."""
    for key in keys:
        if key in links.ephemerals:
            yield from _built(links.edges.get(key, ()), links)
        else:
            yield key


def _runs_with(key: Key, reads: Iterable[Key], links: Links) -> Key:
    """The step that runs a check of *key*."""
    models = [read for read in _built(reads, links) if read in links.edges]
    if key in links.sources:
        return _most_downstream(models, links) or key
    if any(key in links.ancestors(read) for read in models):
        return _most_downstream((key, *models), links) or key
    return key


def _refuse_percentages(check: Check, runs_with: Key, links: Links) -> None:
    if any(it.percent for it in check.thresholds.values()):
        what = f"the check `{check.name}` runs with {runs_with}, which it reads: a percentage would"
        what += " be one of its rows"
        links.report(problem(what, check.location, "Write a number of rows: `error_if: > 0`."))


def _moved(check: Check, key: Key, runs_with: Key) -> Check:
    """The check as one of another step, which may have one of its name."""
    says = f"It is a check of {key}, and runs with {runs_with}, which it reads."
    of_file = check.test in ("query", "python") and not check.arguments
    own = check.name if of_file else f"{key.name}_{check.name}"
    description = f"{check.description}\n\n{says}" if check.description else says
    return replace(check, name=own, description=description)
