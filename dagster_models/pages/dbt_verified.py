"""The part of an import's page that says what is as in dbt, and what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dagster_models.dbt.verification.report import Verification
from dagster_models.dbt.verification.texts import TextState
from dagster_models.pages.document import escaped, table

_KINDS = {
    TextState.EQUAL: "succeeded",
    TextState.DIFFERS: "failed",
    TextState.NOT_COMPARED: "skipped",
}


def verified_parts(found: Verification) -> Iterator[str]:
    if found.texts:
        yield "<h2>Texts, beside what dbt has compiled</h2>"
        yield _cards(Counter(it.state.value for it in found.texts))
        rows = [
            [
                f"<code>{escaped(it.path)}</code>",
                _state(it.state),
                escaped(_said(it.sides, it.what)),
            ]
            for it in sorted(found.texts, key=lambda it: it.state is not TextState.DIFFERS)
            if it.what or it.sides
        ]
        if rows:
            yield table(("model", "text", "what was compared, and what differs"), rows)


def _code(text: str) -> str:
    return f"<code>{escaped(text)}</code>"


def _said(sides: tuple[str, ...], what: str) -> str:
    return "; ".join(filter(None, (" and ".join(sides), what)))


def _state(state: TextState) -> str:
    return f'<span class="state {_KINDS[state]}">{escaped(state.value)}</span>'


def _cards(counts: Counter[str]) -> str:
    cards = [f'<div class="card"><b>{n}</b>{escaped(it)}</div>' for it, n in counts.items()]
    return f'<div class="cards">{"".join(cards)}</div>'
