"""The parts of a template in their order: SQL, comments, expressions and statements.

Jinja's own lexer says what they are, and reads each word within the braces, which nobody here asks
for. So a text is cut at its braces, and whatever is not plain (an escape, a brace that is not
closed, a character that Jinja does not know) is left to that lexer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import TemplateSyntaxError

from dagster_models.dbt.text.template import environment


@dataclass(frozen=True, slots=True)
class Part:
    """``kind``: ``data`` (SQL), ``comment``, ``variable`` (an expression), ``block`` (a statement);
    ``text``: what is within its braces, or the SQL."""

    kind: str
    text: str


@lru_cache(maxsize=8)  # each way of a model's text asks for them
def parts(text: str) -> tuple[Part, ...]:
    """The parts of a template. White space that a `-` strips is not there.

    Raises:
        TemplateSyntaxError: it is not a template.
    """
    try:
        return tuple(_cut(text))
    except _NotPlain:
        return tuple(_lexed(text))


class _NotPlain(Exception):
    """The text is left to Jinja's lexer."""


_KINDS = {"{": "variable", "%": "block", "#": "comment"}
_OPENING = re.compile(r"\{([{%#])([-+]?)")
_COMMENT_END = re.compile(r"([-+]?)#\}")
_SPACE = re.compile(r"\s*")
#: What says something within the braces: a literal, a bracket, an end, and what is not plain.
_INSIDE = re.compile(
    r"""'[^'\\]*'|"[^"\\]*"|[([{]|[-+]?%\}|-?\}\}|[)\]}]|!=|[^\w\s.,:|~=<>+*/%-]""", re.ASCII
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_RAW = re.compile(r"\{%[-+]?\s*raw\b")


def _cut(text: str) -> Iterator[Part]:
    if "\r" in text or _RAW.search(text):
        raise _NotPlain
    text = text.removesuffix("\n")  # as Jinja does with one of them
    done = 0
    while found := _OPENING.search(text, done):
        kind = _KINDS[found[1]]
        data = text[done : found.start()]
        if data := data.rstrip() if found[2] == "-" else data:
            yield Part("data", data)
        start, sign, done = found.end(), "", 0
        if kind == "comment":
            end = _COMMENT_END.search(text, start)
            if end is None:
                raise _NotPlain
            stop, sign, done = end.start(), end[1], end.end()
        else:
            stop, sign, done = _end(text, start, kind)
        if sign == "-":
            done = _SPACE.match(text, done).end()  # type: ignore[union-attr]
        yield Part(kind, text[start:stop].strip())
    if done < len(text):
        yield Part("data", text[done:])


def _end(text: str, start: int, kind: str) -> tuple[int, str, int]:
    """Where what is within the braces ends, the sign before the braces, and where these end."""
    open_brackets: list[str] = []
    at = start
    while found := _INSIDE.search(text, at):
        word, at = found[0], found.end()
        if word == "!=" or (word[0] in "'\"" and len(word) > 1):
            continue
        if word in _CLOSING:
            open_brackets.append(_CLOSING[word])
        elif open_brackets:
            if word.lstrip("-+")[:1] != open_brackets.pop():
                raise _NotPlain
            at = found.start() + len(word) - len(word.lstrip("-+")) + 1  # `}}` may be two brackets
        elif word.endswith("%}" if kind == "block" else "}}"):
            sign = word[0] if word[0] in "-+" else ""
            return found.start(), sign, at
        else:
            raise _NotPlain
    raise _NotPlain


def _lexed(text: str) -> Iterator[Part]:
    inside: list[str] | None = None
    kind = ""
    for _, token, value in environment().lexer.tokeniter(text, None):
        opening = _OPENINGS.get(token)
        if opening and inside is None:
            kind, inside = opening, []
            if kind == "raw":
                inside = None
        elif inside is not None and token == f"{kind}_end":
            yield Part(kind, "".join(inside).strip())
            inside = None
        elif inside is not None:
            inside.append(value)
        elif token == "data":
            yield Part("data", value)
    if inside is not None:
        raise TemplateSyntaxError("a tag is not closed", text.count("\n") + 1)


_OPENINGS = {f"{kind}_begin": kind for kind in ("comment", "variable", "block", "raw")}
