"""The part of an import's page that says what is as in dbt, and what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dagster_models.dbt.verification.relations import RelationResult, RelationState
from dagster_models.dbt.verification.report import Verification
from dagster_models.dbt.verification.tests import ResultState
from dagster_models.dbt.verification.texts import TextState
from dagster_models.pages.document import escaped, table

#: The states in the order of the rows, and their colors.
_KINDS = {
    TextState.DIFFERS.value: "failed",
    RelationState.MOMENT.value: "warned",
    ResultState.MOMENT.value: "warned",
    TextState.NOT_COMPARED.value: "skipped",
    TextState.EQUAL.value: "succeeded",
}


def verified_parts(found: Verification) -> Iterator[str]:
    if found.texts:
        shown = [it for it in found.texts if it.what or it.sides]
        yield from _part(
            "Texts, beside what dbt has compiled",
            [it.state.value for it in found.texts],
            ("model", "text", "what was compared, and what differs"),
            [(it.path, it.state.value, _joined(" and ".join(it.sides), it.what)) for it in shown],
        )
    if found.relations:
        yield from _part(
            "Relations, beside those of dbt",
            [it.state.value for it in found.relations],
            ("relation", "rows", "in dbt", "here", "what differs"),
            [(it.name, it.state.value, *map(str, it.rows), _said(it)) for it in found.relations],
        )
    if found.tests:
        yield from _part(
            "Tests, beside those of dbt",
            [it.state.value for it in found.tests],
            ("test", "result", "in dbt", "here", "why"),
            [(it.name, it.state.value, it.theirs, it.ours, it.note) for it in found.tests],
        )


def _said(it: RelationResult) -> str:
    return _joined(it.rows_that_differ, it.columns_that_differ, *it.notes)


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))


def _part(
    title: str, states: Iterable[str], head: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[str]:
    """The rows begin with a name and a state. What differs comes first."""
    yield f"<h2>{escaped(title)}</h2>"
    counts = Counter(states).items()
    cards = (f'<div class="card"><b>{count}</b>{escaped(it)}</div>' for it, count in counts)
    yield f'<div class="cards">{"".join(cards)}</div>'
    order = [*_KINDS]
    cells = (
        [_code(it[0]), _state(it[1]), *map(escaped, it[2:])]
        for it in sorted(rows, key=lambda it: order.index(it[1]))
    )
    if rows:
        yield table(head, cells)


def _code(text: str) -> str:
    return f"<code>{escaped(text)}</code>"


def _state(state: str) -> str:
    return f'<span class="state {_KINDS[state]}">{escaped(state)}</span>'
