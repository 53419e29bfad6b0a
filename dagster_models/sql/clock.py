"""A query in which the clock stands still: literals in place of what reads it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlglot import Token, TokenType

from dagster_models.sql.rewriting.token_rewriter import TEXTS, closing
from dagster_models.sql.tokens import TokenizedText

#: The type of what each of these returns, with or without parentheses.
_WORDS = {
    "current_date": "DATE",
    "current_timestamp": "TIMESTAMPTZ",
    "localtimestamp": "TIMESTAMP",
    "current_time": "TIMETZ",
    "localtime": "TIME",
}
_CALLS = {
    **_WORDS,
    **dict.fromkeys(("now", "get_current_timestamp", "transaction_timestamp"), "TIMESTAMPTZ"),
    "statement_timestamp": "TIMESTAMPTZ",
    "today": "DATE",
    "current_localtimestamp": "TIMESTAMP",
    "current_localtime": "TIME",
    "get_current_time": "TIMETZ",
}
#: These go on in the middle of a transaction, or answer in a form of their own.
_RUNNING = frozenset({"clock_timestamp", "timeofday", "unix_timestamp", "age"})
_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})


def frozen(text: str, dialect: str, now: dt.datetime) -> str:
    """The text with *now* (aware) in place of what asks for the time. Its lines stay where they
    are.

    Raises SqlSyntaxError for what asks for it in a way that cannot be replaced: a call of
    clock_timestamp(), age() of one argument, a text such as 'today' that is read as a moment.
    """
    source = TokenizedText(text, dialect)
    literals, tokens = _literals(now), source.tokens
    pieces, done, at = [], 0, 0
    while at < len(tokens):
        token, word = tokens[at], tokens[at].text.lower()
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        is_call = after is not None and after.token_type == TokenType.L_PAREN
        is_name = token.token_type == TokenType.IDENTIFIER or _is_column(tokens, at)
        if token.token_type in TEXTS:
            if word.strip() in _MOMENTS and _is_read(tokens, at):
                raise source.error(
                    f"'{token.text}' is a moment of the real clock", token.start, _FIX
                )
        elif is_call and not is_name and word in _RUNNING:
            if word != "age" or _arguments(tokens, at + 1) == 1:
                raise source.error(f"{word}() reads the real clock", token.start, _FIX)
        elif not is_name and word in (_CALLS if is_call else _WORDS):
            last = closing(tokens, at + 1) if is_call else at
            pieces += [text[done : token.start], literals[_CALLS[word]]]
            pieces.append("\n" * text.count("\n", token.start, tokens[last].end + 1))
            done, at = tokens[last].end + 1, last
        at += 1
    return "".join([*pieces, text[done:]])


_FIX = "A test cannot stop that clock: write now() or current_date, or delete `now` from the test."


def _literals(now: dt.datetime) -> Mapping[str, str]:
    moment = now.astimezone(dt.timezone.utc)
    clock = moment.replace(tzinfo=None)
    return {
        "DATE": f"DATE '{clock.date()}'",
        "TIMESTAMP": f"TIMESTAMP '{clock.isoformat(' ')}'",
        "TIMESTAMPTZ": f"TIMESTAMPTZ '{moment.isoformat(' ')}'",
        "TIME": f"TIME '{clock.time()}'",
        "TIMETZ": f"CAST('{clock.time()}+00' AS TIMETZ)",
    }


def _is_column(tokens: list[Token], at: int) -> bool:
    """Whether a word is a part of a name, or an alias."""
    before = tokens[at - 1] if at > 0 else None
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    return (before is not None and before.token_type in (TokenType.DOT, TokenType.ALIAS)) or (
        after is not None and after.token_type == TokenType.DOT
    )


def _is_read(tokens: list[Token], at: int) -> bool:
    """Whether a text is read as a moment: after the word of a type, or in a cast."""
    words = [token.text.lower() for token in tokens[max(at - 2, 0) : at]]
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    is_cast = words in (["cast", "("], ["try_cast", "("])
    is_cast = is_cast or (after is not None and after.token_type == TokenType.DCOLON)
    return is_cast or words[-1:] in (["date"], ["timestamp"], ["timestamptz"])


def _arguments(tokens: list[Token], opening: int) -> int:
    depth, commas = 0, 0
    for token in tokens[opening : closing(tokens, opening)]:
        kind = token.token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        commas += depth == 1 and kind == TokenType.COMMA
    return commas + 1
