"""Tokens as the parser should see them, where sqlglot's grammar is narrower than the warehouse's.

The text never changes, only the list of tokens between tokenizer and parser: tokens that do not
concern tables are left out (`using (id) as j`), and an expression that names a table in another way
becomes that name (`query_table('orders')`, `identifier('raw.orders')`). Each token keeps its place
in the text, so that every name is found where it stands.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot.tokenizer_core import Token

from dagster_models.sql.rewriting.token_rewriter import Prepared, TokenRewriter, TokenRules
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
    rules = [
        rule
        for rule, words in (*RULES_OF_ALL.items(), *of_dialect.by_words.items())
        if any(word in lower for word in words)
    ]
    if wider:
        rules += of_dialect.wider

    def inside(inner: str, of_it: list[Token]) -> Prepared:
        return prepare(inner, of_it, of_dialect, tokenize)

    if not rules:  # nearly every text
        return Prepared(tokens)
    rewriter = TokenRewriter(text, tokens, tokenize, inside)
    index = 0
    while index < len(tokens):
        rewriter.close(index)
        taken = next((n for rule in rules if (n := rule(rewriter, index))), 0)
        if not taken:
            rewriter.result.tokens.append(tokens[index])
            taken = 1
        for token in tokens[index : index + taken]:
            rewriter.parenthesis(token)
        index += taken
    rewriter.close(index)
    return rewriter.result
