"""Tokens as the parser should see them, where sqlglot's grammar is narrower than the warehouse's.

The text is never changed, only the list of tokens between tokenizer and parser: what says nothing
of tables is left out (`using (id) as j`), and what names a table in another way than by its name
becomes that name (`query_table('orders')`, `identifier('raw.orders')`). Each token keeps its place
in the text, so what is found is found where it stands.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot.tokenizer_core import Token

from dagster_models.sql.rewriting.token_rewriter import Prepared, Work
from dagster_models.sql.rewriting.token_rules import RULES, WIDER, WORDS, table_argument

__all__ = ["Prepared", "prepare"]


def prepare(
    text: str,
    tokens: list[Token],
    dialect: str,
    tokenize: Callable[[str], list[Token]],
    wider: bool = False,
) -> Prepared:
    """*tokens* of *text* for the parser of *dialect*; ``wider`` when it has refused them as they
    were. Never raises: what is odd stays as it is."""
    lower = text.lower()
    rules = [
        rule
        for rule in (table_argument, *RULES.get(dialect, ()))
        if any(word in lower for word in WORDS[rule])
    ]
    if wider:
        rules += WIDER.get(dialect, ())

    def inside(inner: str, of_it: list[Token]) -> Prepared:
        return prepare(inner, of_it, dialect, tokenize)

    if not rules:  # nearly every text
        return Prepared(tokens)
    work = Work(text, tokens, dialect, tokenize, inside)
    index = 0
    while index < len(tokens):
        taken = next((n for rule in rules if (n := rule(work, index))), 0)
        if not taken:
            work.result.tokens.append(tokens[index])
            taken = 1
        for token in tokens[index : index + taken]:
            work.parenthesis(token)
        index += taken
    work.close(index)
    return work.result
