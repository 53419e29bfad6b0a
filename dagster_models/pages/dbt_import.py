"""The page of an import from dbt: the way of each model, what stands in its text, what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dagster_models.dbt.adoption import AdoptedNode
from dagster_models.dbt.report import ImportReport, ReportedModel
from dagster_models.dbt.text.model_text import Way
from dagster_models.pages.document import escaped, page, table

if TYPE_CHECKING:
    from dagster_models.dbt.verification.report import Verification

_KINDS = {
    Way.TEMPLATE: "succeeded",
    Way.SOURCE: "succeeded",
    Way.RENDERED: "unchanged",
    Way.COMPILED: "warned",
    Way.NONE: "failed",
}
_FILES = {
    "conflicts": "Conflicts: edited here, and changed in dbt",
    "left": "Gone in dbt, and edited here",
    "kept": "Edited here, and kept",
    "removed": "Removed, as dbt no longer has them",
}


def import_page(
    report: ImportReport,
    verification: Verification | None = None,
    adopted: Sequence[AdoptedNode] = (),
) -> str:
    style = "td code { overflow-wrap: anywhere; }"
    return page(f"Import of {report.project}", _body(report, verification, adopted), style=style)


def _body(
    report: ImportReport, verification: Verification | None, adopted: Sequence[AdoptedNode]
) -> Iterator[str]:
    yield f"<h1>Import of the dbt project {escaped(report.project)}</h1>"
    yield (
        f'<p class="soft">{len(report.models)} models, adapter {escaped(report.adapter)},'
        f" dbt {escaped(report.dbt_version)}</p>"
    )
    ways = report.ways()
    cards = [f'<div class="card"><b>{ways.get(it, 0)}</b>{escaped(it.value)}</div>' for it in Way]
    yield f'<div class="cards">{"".join(cards)}</div>'
    for name, title in _FILES.items():
        if paths := report.files.get(name):
            yield f"<h2>{escaped(title)}</h2>"
            yield "<p>" + "<br>".join(f"<code>{escaped(it)}</code>" for it in paths) + "</p>"
    if verification is not None:
        from dagster_models.pages.dbt_verified import verified_parts  # which few imports need

        yield from verified_parts(verification)
    if adopted:
        yield "<h2>Relations that dbt has built</h2>"
        rows = [
            [f"<code>{escaped(it.name)}</code>", *map(escaped, (it.what.state, it.what.why))]
            for it in adopted
        ]
        yield table(("relation", "", "why"), rows)
    yield "<h2>Models</h2>"
    yield table(("model", "way", "why, and what stands in its text"), map(_model, _order(report)))
    if report.remarks:
        yield "<h2>Beside the models</h2>"
        rows = [[escaped(it) for it in remark] for remark in report.remarks]
        yield table(("of", "", "what"), rows)


def _order(report: ImportReport) -> list[ReportedModel]:
    """What asks for a hand first."""
    order = [*reversed(Way)]
    return sorted(report.models, key=lambda it: (order.index(_way(it)), it.path))


def _way(model: ReportedModel) -> Way:
    return Way.NONE if model.disabled else model.way


def _model(model: ReportedModel) -> list[str]:
    way = _way(model)
    lines = [escaped(model.why)] if model.why else []
    lines += [f"<code>{escaped(k)}</code> is {escaped(v)}" for k, v in model.frozen.items()]
    lines += [f"{escaped(weight)}: {escaped(what)}" for weight, what in model.remarks]
    state = f'<span class="state {_KINDS[way]}">{escaped(way.value)}</span>'
    return [f"<code>{escaped(model.path)}</code>", state, "<br>".join(lines)]
