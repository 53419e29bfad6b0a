"""``freshness:`` of a source, or of a table of one, in our words or in dbt's.

sources:
  - name: raw
    freshness: {warn: 12h, fail: 24h}
    loaded_at: updated_at          # a column, or an expression over a row
    tables:
      - name: orders
        config:                    # dbt
          loaded_at_field: _loaded
          freshness: {warn_after: {count: 12, period: hour}, filter: country = 'de'}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from dagster_models.core.checks import Check, Threshold
from dagster_models.core.freshness import FRESHNESS, LOADED_AT
from dagster_models.core.jobs import Schedule
from dagster_models.core.model import Key, Location, Source
from dagster_models.project.freshness import EXAMPLE, LIMITS, limits_of, refuse_contradiction
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

LIMITS_OF_SOURCE: dict[str, Reader] = {**LIMITS, "where": fields.text, "filter": fields.text}
#: Where a source says when its rows came: a column or an expression, or dbt's whole query.
LOADED = {LOADED_AT: LOADED_AT, "loaded_at_field": LOADED_AT, "loaded_at_query": "query"}
#: The keys of a source, and of a table of one. dbt has the others in `config`, too.
FRESHNESS_KEYS: dict[str, Reader] = dict.fromkeys((FRESHNESS, *LOADED, "config"), fields.as_is)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a source, or a table of one, says itself. ``limits`` is None for the word null, which
    takes the check away; ``loaded`` has LOADED_AT or "query"."""

    limits: Mapping[str, Any] | None
    loaded: Mapping[str, str]
    place: Location | None  #: of ``freshness``
    loaded_place: Location | None = None


def freshness_checks(
    key: Key, source: YamlNode, table: YamlNode, report: Report
) -> Iterator[Check]:
    """The check of a table of a source, by the keys of both, if there is one. What is wrong is
    reported. A table overrides the keys of its source one by one, as in dbt."""
    try:
        above, own = _written(source), _written(table)
        place = own.place or above.place
        if place is None or own.limits is None or (above.limits is None and not own.limits):
            return
        limits = {**(above.limits or {}), **own.limits}
        loaded = own.loaded or above.loaded
        if not loaded:
            _report_nothing_to_read(key, place, inherited=own.place is None, report=report)
            return
        refuse_contradiction(limits, place)
        if "query" in loaded and limits.get("where"):
            fix = "Write the condition into `loaded_at_query`."
            raise BadValue("a query of your own is not filtered", place, fix)
    except BadValue as wrong:
        report(problem(f"`{FRESHNESS}`: {wrong.what}", wrong.place, wrong.fix))
        return
    warn, fail = limits.get("warn"), limits.get("fail")
    yield Check(
        FRESHNESS,
        key,
        "warn" if fail is None else "error",
        own.place or own.loaded_place or table.place,
        FRESHNESS,
        arguments={LOADED_AT: loaded[LOADED_AT]} if LOADED_AT in loaded else {},
        text=loaded.get("query", ""),
        where=limits.get("where") or "",
        warn_if=None if warn is None else Threshold(f"{warn:g}"),
        error_if=None if fail is None else Threshold(f"{fail:g}"),
    )


def _written(node: YamlNode) -> _Written:
    """What is written there or in its `config`. Raises BadValue."""
    if not isinstance(node.value, dict):
        return _Written({}, {}, None)
    layers = [node, *(it for name, _, it in node.items() if name == "config")]
    for config in layers[1:]:
        fields.refuse_unknown(config, {FRESHNESS, *LOADED})
    found: dict[str, YamlNode] = {}
    for name, place, item in chain.from_iterable(layer.items() for layer in layers):
        if name in found:
            raise BadValue(f"`{name}` is there, and in `config`", place, "Keep one of them.")
        found[name] = item
    loaded: dict[str, str] = {}
    place_of_loaded = None
    for name, word in LOADED.items():
        if name in found:
            if loaded:
                fix = "Keep one of `loaded_at`, `loaded_at_field` and `loaded_at_query`."
                raise BadValue("it is said twice when rows came", found[name].place, fix)
            loaded[word], place_of_loaded = fields.text(found[name]), found[name].place
    written = found.get(FRESHNESS)
    if written is None:
        return _Written({}, loaded, None, place_of_loaded)
    if written.value in (None, False):
        return _Written(None, loaded, written.place)
    if not isinstance(written.value, dict):
        what = f"expected keys and values, got {fields.describe(written)}"
        raise BadValue(what, written.place, EXAMPLE)
    return _Written(limits_of(written, LIMITS_OF_SOURCE), loaded, written.place)


def _report_nothing_to_read(key: Key, place: Location, *, inherited: bool, report: Report) -> None:
    """A table without a column of this kind may inherit the limits of its source by mistake."""
    what = f"`{FRESHNESS}`: nothing says when rows of {key} came"
    fix = "Add `loaded_at: column` (dbt: `loaded_at_field`)"
    fix += f", or `{FRESHNESS}: null` to that table." if inherited else "."
    report(problem(what, place, fix, "warning" if inherited else "error"))


# Schedules ----------------------------------------------------------------------------------------


def freshness_of(source: Source) -> Check | None:
    """The check of how fresh the source is; None if it has none."""
    return next((check for check in source.checks if check.test == FRESHNESS), None)


def awaited(schedule: Schedule, sources: Mapping[Key, Source]) -> list[Source]:
    """The sources that a schedule waits for, of those that have a freshness."""
    wanted = {name.lower() for name, _ in schedule.wait_for_fresh}
    found = (it for key, it in sources.items() if str(key).lower() in wanted)
    return [source for source in found if freshness_of(source) is not None]


def check_awaited(schedules: Iterable[Schedule], sources: Sequence[Source], report: Report) -> None:
    """Report names for which a schedule cannot wait."""
    known = {str(source.key).lower(): source for source in sources}
    fresh = [str(source.key) for source in sources if freshness_of(source)]
    for schedule in schedules:
        for name, place in schedule.wait_for_fresh:
            source = known.get(name.lower())
            if source is None:
                what = f"schedule `{schedule.name}` waits for `{name}`, and no source has that name"
                report(problem(what, place, suggest(name, fresh, "Sources with a freshness")))
            elif freshness_of(source) is None:
                what = f"schedule `{schedule.name}` waits for {source.key}, which has no freshness"
                fix = "Add `loaded_at: column` and `freshness: {fail: 24h}` to it in sources.yaml."
                report(problem(what, place, fix))
