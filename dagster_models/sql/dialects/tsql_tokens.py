"""T-SQL's token rules."""

from __future__ import annotations

from sqlglot import TokenType

from dagster_models.sql.rewriting.named_tables import At, table_names
from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules

#: Functions in FROM that search in the table whose name they are given.
_READS = dict.fromkeys(
    (
        *("containstable", "freetexttable", "semantickeyphrasetable"),
        *("semanticsimilaritytable", "semanticsimilaritydetailstable"),
    ),
    At(0),
)


def _hints(rewriter: TokenRewriter, index: int) -> int:
    """`option (use hint (...))` names no table."""
    if rewriter.word(index) != "option" or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    return rewriter.closing(index + 1) + 1 - index


def _match(rewriter: TokenRewriter, index: int) -> int:
    """Graphs: `match (a-(knows)->b)` names what stands in FROM."""
    if rewriter.word(index) != "match" or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    one = (TokenType.NUMBER, "1")
    rewriter.emit(rewriter.tokens[index], one, (TokenType.EQ, "="), one)
    return rewriter.closing(index + 1) + 1 - index


def _apply(rewriter: TokenRewriter, index: int) -> int:
    """`cross apply t` of a table is a join."""
    if rewriter.word(index + 1) != "apply" or rewriter.word(index) not in ("cross", "outer"):
        return 0
    end = rewriter.name_end(index + 2)
    if end == index + 2 or rewriter.kind(end) == TokenType.L_PAREN:
        return 0
    rewriter.emit(rewriter.tokens[index], (TokenType.CROSS, "cross"), (TokenType.JOIN, "join"))
    return 2


def _changes(rewriter: TokenRewriter, index: int) -> int:
    """`changetable(changes t, 0)`: the word before the name goes."""
    if rewriter.word(index) not in ("changes", "version") or rewriter.word(index - 2) != (
        "changetable"
    ):
        return 0
    rewriter.result.tables.add(rewriter.tokens[index + 1].start)
    return 1


def _index(rewriter: TokenRewriter, index: int) -> int:
    """`with (index = x)` is `with (index(x))`, which sqlglot knows."""
    before = rewriter.kind(index - 2) in (TokenType.L_PAREN, TokenType.COMMA)
    if rewriter.kind(index) != TokenType.EQ or rewriter.word(index - 1) != "index" or not before:
        return 0
    if rewriter.kind(index + 1) == TokenType.L_PAREN:
        return 1
    name = rewriter.tokens[index + 1]
    rewriter.emit(name, (TokenType.L_PAREN, "("), (name.token_type, name.text))
    rewriter.emit(name, (TokenType.R_PAREN, ")"))
    return 2


TSQL_TOKENS = TokenRules(
    {
        _hints: ("option",),
        _match: ("match",),
        _apply: ("apply",),
        _index: ("index",),
        _changes: ("changetable",),
        table_names(_READS): tuple(_READS),
    }
)
