"""Tokens as the parser should see them, where sqlglot's grammar is narrower than the warehouse's.

The text never changes, only the list of tokens between tokenizer and parser: tokens that do not
concern tables are left out (`using (id) as j`), and an expression that names a table in another way
becomes that name (`query_table('orders')`, `identifier('raw.orders')`). Each token keeps its place
in the text, so that every name is found where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import Token

from dagster_models.sql.rewriting.token_rewriter import Prepared, Rule, TokenRewriter, TokenRules
from dagster_models.sql.rewriting.token_rules import RULES_OF_ALL


def prepare(
    text: str,
    tokens: list[Token],
    of_dialect: TokenRules,
    tokenize: Callable[[str], list[Token]],
    wider: bool = False,
) -> Prepared:
    """The *tokens* of *text* as the parser should get them. ``wider``: it has refused them as they
    were. Never raises: what the rules do not understand stays as it is."""
    lower = text.lower()

    def said(rules: Mapping[Rule, tuple[str, ...]]) -> dict[Rule, tuple[str, ...]]:
        return {it: words for it, words in rules.items() if any(word in lower for word in words)}

    at_words = {**said(RULES_OF_ALL), **said(of_dialect.at_words)}
    rules = [*said(of_dialect.by_words), *(of_dialect.wider if wider else ())]
    places = _places(tokens, at_words).union(of_dialect.places(text, tokens))
    at_places = (*at_words, *of_dialect.placed, *rules)
    if not rules and not places:  # nearly every text
        return Prepared(tokens)

    def inside(inner: str, of_it: list[Token]) -> Prepared:
        return prepare(inner, of_it, of_dialect, tokenize)

    rewriter = TokenRewriter(text, tokens, tokenize, inside)
    done = 0
    for index in range(len(tokens)) if rules else sorted(places):
        if index < done:  # a rule has replaced it
            continue
        rewriter.copy(done, index)
        rewriter.close(index)
        of_here = at_places if index in places else rules
        taken = next((n for rule in of_here if (n := rule(rewriter, index))), 0)
        rewriter.passed(index, index + taken)
        done = index + taken
    rewriter.copy(done, len(tokens))
    rewriter.close(len(tokens))
    return rewriter.result


def _places(tokens: Sequence[Token], rules: Mapping[Rule, tuple[str, ...]]) -> frozenset[int]:
    """The indexes of the tokens that are a word of one of the rules."""
    words = {word for of_rule in rules.values() for word in of_rule}
    if not words:
        return frozenset()
    return frozenset(at for at, token in enumerate(tokens) if token.text.lower() in words)
