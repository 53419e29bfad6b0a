"""Functions that are given the name of a table as a text or as a bare name, and lists of values.

    table_names({"table_changes": At(0)}) -> a rule

The name becomes one that the parser knows as a column, at its place in the text, and the walk over
the tree takes it for a table's (``Prepared.tables``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import TokenType

from dagster_models.sql.rewriting.token_rewriter import TEXTS, Rule, TokenRewriter
from dagster_models.sql.rewriting.token_rules import is_call


@dataclass(frozen=True, slots=True)
class At:
    """Which argument of a function is the name of a table.

    ``place``: its index; None where the name cannot be taken from the text. ``apart``: the schema
    may be an argument of its own before it (`loop(db, t)`). ``only_in_from``: elsewhere a function
    of that name does not read tables.
    """

    place: int | None
    apart: bool = False
    only_in_from: bool = True


def table_names(functions: Mapping[str, At]) -> Rule:
    """The rule for *functions*, by their names in lower case."""

    def rule(rewriter: TokenRewriter, index: int) -> int:
        if index in rewriter.names_in_texts:
            return _emit_text(rewriter, index)
        at = functions.get(rewriter.word(index))
        if at is None or not is_call(rewriter, index):
            return 0
        if not at.only_in_from or _is_table(rewriter, _head(rewriter, index)):
            _mark(rewriter, index, at)
        return 0

    return rule


def _mark(rewriter: TokenRewriter, index: int, at: At) -> None:
    """Note the name of the table among the arguments of the function at *index*."""
    arguments = rewriter.arguments(index + 1)
    place = len(arguments) if at.place is None else at.place
    names = [_is_name(rewriter, *argument) for argument in arguments[place : place + 2]]
    apart = at.apart and names == [True, True] and _is_bare(rewriter, *arguments[place])
    if names[:1] != [True] or apart:
        start = rewriter.tokens[_head(rewriter, index)].start
        rewriter.result.unseen.append((start, f"{rewriter.word(index)}(...)"))
        return
    first = arguments[place][0]
    if rewriter.kind(first) in TEXTS:
        rewriter.names_in_texts.add(first)
    else:
        rewriter.result.tables.add(rewriter.tokens[first].start)


def _is_name(rewriter: TokenRewriter, begin: int, end: int) -> bool:
    """Whether an argument is a dotted name, or the text of one."""
    if rewriter.kind(begin) in TEXTS:
        token = rewriter.tokens[begin]
        known = rewriter.name_of(token.text) is not None and rewriter.content(token) is not None
        cast = rewriter.kind(begin + 1) == TokenType.DCOLON  # `'orders'::regclass`
        cast = cast and rewriter.word(begin + 2) == "regclass"
        return known and end == begin + (3 if cast else 1)
    return end > begin and rewriter.name_end(begin) == end


def _is_bare(rewriter: TokenRewriter, begin: int, end: int) -> bool:
    """Whether the name has one part."""
    return end == begin + 1 and "." not in rewriter.tokens[begin].text


def _emit_text(rewriter: TokenRewriter, index: int) -> int:
    token = rewriter.tokens[index]
    name, start = rewriter.name_of(token.text) or [], rewriter.content(token) or 0
    rewriter.emit_name(name, start, start + len(token.text) - 1)
    rewriter.result.tables.add(start)
    rewriter.result.in_strings.add(start)
    return 1


def _head(rewriter: TokenRewriter, index: int) -> int:
    """Where the dotted name begins that ends at *index*."""
    while rewriter.kind(index - 1) == TokenType.DOT:
        index -= 2
    return index


def _is_table(rewriter: TokenRewriter, index: int) -> bool:
    """Whether the function at *index* makes an item of a FROM list."""
    wrapped = rewriter.kind(index - 1) == TokenType.L_PAREN
    return rewriter.in_from(index) or (wrapped and rewriter.kind(index - 2) == TokenType.TABLE)


def one_list_of_values(rewriter: TokenRewriter, index: int) -> int:
    """`from values (1), (2), orders`: a row has parentheses, so what follows is the next item."""
    return _list_of_values(rewriter, index, several=True)


def one_row_of_values(rewriter: TokenRewriter, index: int) -> int:
    """ClickHouse's `from values('a Int8', 1), orders` is a function: its parentheses end it."""
    return _list_of_values(rewriter, index, several=False)


def _list_of_values(rewriter: TokenRewriter, index: int, *, several: bool) -> int:
    opening = rewriter.kind(index + 1) == TokenType.L_PAREN
    if rewriter.kind(index) != TokenType.VALUES or not opening or not rewriter.in_from(index):
        return 0
    end = rewriter.closing(index + 1) + 1
    while several and rewriter.kind(end) == TokenType.COMMA:
        if rewriter.kind(end + 1) != TokenType.L_PAREN:
            break
        end = rewriter.closing(end + 1) + 1
    if rewriter.kind(end) != TokenType.COMMA:
        return 0
    values = rewriter.tokens[index]
    rewriter.emit(values, (TokenType.L_PAREN, "("), (TokenType.VALUES, values.text))
    rewriter.closings.append(end)
    return 1
