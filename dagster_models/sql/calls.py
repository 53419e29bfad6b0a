"""What a text calls, and the words in it that mean the time, the session or a random choice."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import TokenType

from dagster_models.sql.rewriting.token_rewriter import TEXTS
from dagster_models.sql.tokens import TokenizedText

#: SQL's own functions without parentheses: the grammar of a dialect has no others. Then what
#: chooses rows at random.
_WORDS = frozenset(
    {
        *("current_catalog", "current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "localtime", "localtimestamp", "session_user"),
        *("system_user", "user"),
        *("sample", "tablesample"),
    }
)
#: Texts that PostgreSQL reads as moments: date 'today', 'now'::timestamp.
_MOMENT = re.compile(r"\b(now|today|tomorrow|yesterday)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Calls:
    """``functions``: each name before a parenthesis, in lower case; some are no functions.
    ``words``: those that mean the time, the session or a random choice, as they are written."""

    functions: frozenset[str]
    words: tuple[str, ...]


def calls(text: str, dialect: str) -> Calls:
    """Raises SqlSyntaxError for a text that has no tokens."""
    tokens = TokenizedText(text, dialect).tokens
    functions, words = set(), []
    for at, token in enumerate(tokens):
        kind, said = token.token_type, token.text.lower()
        if kind in TEXTS:
            words += [f"'{token.text}'"] if _MOMENT.search(token.text) else []
            continue
        column = at > 0 and tokens[at - 1].token_type == TokenType.DOT
        if kind != TokenType.IDENTIFIER and not column and not _WORDS.isdisjoint(said.split()):
            words.append(token.text)
        elif at + 1 < len(tokens) and tokens[at + 1].token_type == TokenType.L_PAREN:
            functions.add(said)
    return Calls(frozenset(functions), tuple(dict.fromkeys(words)))
