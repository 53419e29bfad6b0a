"""The tokens of BigQuery that its rules look at are all for which they do something."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from sqlglot import Token, TokenError

from dagster_models.sql.dialects.bigquery_tokens import BIGQUERY_TOKENS
from dagster_models.sql.literals import sqlglot_dialect
from dagster_models.sql.rewriting.prepare import prepare
from dagster_models.sql.rewriting.token_rewriter import TokenRules

_PIECES = (
    *("from", "join", "JOIN", "a", "x-1", "-", "1", "2023", "_s", ".", "`", "`p.d`", "t", "1.5"),
    *("e3", " ", "/* c */", "-- c\n", ",", "(", ")", "proj-a.b", "data.2023_s", "d. 2023"),
    *("2023_x", "'s-1'", '"q.r"', "*", "select", "0x1f", "ä", "1_000", "rb", "br", "#c\n"),
)


def _everywhere(text: str, tokens: list[Token]) -> range:
    return range(len(tokens))


def _prepared(text: str, rules: TokenRules) -> list[tuple[object, str, int, int]] | None:
    tokenize = sqlglot_dialect("bigquery").tokenize
    try:
        found = prepare(text, tokenize(text), rules, tokenize).tokens
    except TokenError:
        return None
    return [(it.token_type, it.text, it.start, it.end) for it in found]


def test_the_rules_find_nothing_at_any_other_token() -> None:
    random, changed = Random(2), 0
    no_rules, all_tokens = TokenRules(), replace(BIGQUERY_TOKENS, places=_everywhere)
    for _ in range(2000):
        pieces = random.choices(_PIECES, k=random.randint(1, 8))
        text = "".join(piece + random.choice(("", "", " ")) for piece in pieces)
        found = _prepared(text, BIGQUERY_TOKENS)
        assert found == _prepared(text, all_tokens), text
        changed += found != _prepared(text, no_rules)
    assert changed > 200
