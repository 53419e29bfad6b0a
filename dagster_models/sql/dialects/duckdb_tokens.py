"""DuckDB's token rules: texts that name tables, SHOW, PIVOT, names that are keywords to sqlglot."""

from __future__ import annotations

from sqlglot import TokenType

from dagster_models.sql.rewriting.named_tables import At, one_list_of_values, table_names
from dagster_models.sql.rewriting.token_rewriter import (
    NAMES,
    SET_WORDS,
    TEXTS,
    WORD,
    TokenRewriter,
    TokenRules,
    token_like,
)
from dagster_models.sql.rewriting.token_rules import is_call, text_as_name

#: Words behind SHOW that do not name a table: `from (show tables)`.
_SHOWN = {"all", "tables", "databases", "schemas", "variables"}
#: Table functions that describe the table whose name they get as a text.
_DESCRIBING = {"pragma_table_info", "pragma_show", "pragma_storage_info", "duckdb_table_sample"}
#: Functions in FROM that read the table whose name they are given.
_READS = {
    **dict.fromkeys(("histogram", "histogram_values", "seq_scan", "vss_match"), At(0)),
    **dict.fromkeys(("vss_join", "json_execute_serialized_sql"), At(None)),
}
_PIVOTS = {
    "pivot": TokenType.PIVOT,
    "pivot_wider": TokenType.PIVOT,
    "unpivot": TokenType.UNPIVOT,
    "pivot_longer": TokenType.UNPIVOT,
}
#: Words outside of parentheses that end the statement PIVOT: the query around it has them.
_BEHIND_PIVOT = {
    *(TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET, TokenType.FETCH),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT),
}
#: Behind one of these sqlglot knows that the statement in the parenthesis is a table.
_HOLDS_PIVOT = {TokenType.FROM, TokenType.JOIN, TokenType.COMMA, TokenType.ALIAS}
_ENDS = {TokenType.R_PAREN, TokenType.SEMICOLON}

#: Words that may be names. To sqlglot they begin a statement or are operators.
_NAMES_TOO = {
    *("alter", "drop", "force", "grant", "insert", "install", "lock"),
    *("partitioned_by", "regexp", "revoke", "rlike", "rollback", "uncache", "xor"),
}
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACE, TokenType.L_BRACKET}
#: Words that may be names without a bracket behind them. `map {...}` is something else.
_WITHOUT_BRACKET = {"cube", "map", "rollup", "values"}
#: Types with a list in angle brackets in other dialects. Here `range < 5` compares.
_ANGLED = {"array", "list", "map", "nested", "nullable", "object", "range", "row", "struct"}


def _query_in_text(rewriter: TokenRewriter, index: int) -> int:
    """`query('select ...')`: the text is the query."""
    if rewriter.word(index) != "query" or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if rewriter.kind(index - 1) not in (TokenType.FROM, TokenType.JOIN, TokenType.COMMA):
        return 0
    inside = rewriter.tokens[index + 2]
    at = rewriter.content(inside) if inside.token_type in TEXTS else None
    if at is None or rewriter.kind(index + 3) != TokenType.R_PAREN:
        rewriter.result.unseen.append((rewriter.tokens[index].start, "query(...)"))
        return 0
    try:
        tokens = list(rewriter.tokenize(inside.text))
    except Exception:  # not SQL: the warehouse will say so
        return 0
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    inner = rewriter.prepare(inside.text, tokens)
    rewriter.emit(rewriter.tokens[index], (TokenType.L_PAREN, "("))
    for token in inner.tokens:
        moved = token_like(token, token.token_type, token.text, token.start + at, token.end + at)
        rewriter.result.tokens.append(moved)
    rewriter.result.tables.update(start + at for start in inner.tables)
    rewriter.result.fixed.update(start + at for start in inner.fixed)
    rewriter.result.unseen += [(start + at, what) for start, what in inner.unseen]
    rewriter.result.in_strings.update(start + at for start in inner.in_strings)
    if rewriter.text[inside.start] == "'":
        rewriter.result.in_strings.update(token.start + at for token in inner.tokens)
    rewriter.emit(rewriter.tokens[index + 3], (TokenType.R_PAREN, ")"))
    return 4


def _query_table(rewriter: TokenRewriter, index: int) -> int:
    """`query_table('t')`, `query_table(t)`: the call becomes the name."""
    if rewriter.word(index) != "query_table" or not is_call(rewriter, index):
        return 0
    if rewriter.kind(index + 2) == TokenType.L_BRACKET:
        return _list_of_names(rewriter, index)
    if taken := text_as_name(rewriter, index):
        return taken
    start, end = rewriter.tokens[index].start, rewriter.name_end(index + 2)
    if end > index + 2 and rewriter.kind(end) == TokenType.R_PAREN:
        tokens = rewriter.tokens[index + 2 : end]
        name = [(token.token_type, token.text) for token in tokens]
        rewriter.emit_name(name, start, rewriter.tokens[end].end)
        return end + 1 - index
    rewriter.result.unseen.append((start, "query_table(...)"))
    return 0


def _list_of_names(rewriter: TokenRewriter, index: int) -> int:
    """`query_table(['a', b])` becomes `(select * from a, b)`; the names stay where they are."""
    end = index + 3
    names: list[tuple[int, int, list[tuple[TokenType, str]]]] = []
    while end < len(rewriter.tokens) and rewriter.kind(end) != TokenType.R_BRACKET:
        token, after = rewriter.tokens[end], rewriter.name_end(end)
        if after > end:
            parts = [(t.token_type, t.text) for t in rewriter.tokens[end:after]]
            names.append((token.start, rewriter.tokens[after - 1].end, parts))
        else:
            name = rewriter.name_of(token.text) if token.token_type in TEXTS else None
            at = rewriter.content(token)
            if name is None or at is None:
                break
            names.append((at, at + len(token.text) - 1, name))
            rewriter.result.in_strings.add(at)
            after = end + 1
        end = after + 1 if rewriter.kind(after) == TokenType.COMMA else after
    if not names or rewriter.kind(end) != TokenType.R_BRACKET:
        rewriter.result.unseen.append((rewriter.tokens[index].start, "query_table(...)"))
        return 0
    while end < len(rewriter.tokens) and rewriter.kind(end) != TokenType.R_PAREN:
        end += 1  # `by_name`, the second argument
    head = rewriter.tokens[index]
    rewriter.emit(
        head, (TokenType.L_PAREN, "("), (TokenType.SELECT, "select"), (TokenType.STAR, "*")
    )
    for place, (start, last, name) in enumerate(names):
        comma = (TokenType.COMMA, ",") if place else (TokenType.FROM, "from")
        rewriter.emit(head, comma)
        rewriter.emit_name(name, start, last)
        rewriter.result.fixed.add(start)
    rewriter.emit(rewriter.tokens[end - 1], (TokenType.R_PAREN, ")"))
    return end + 1 - index


def _show(rewriter: TokenRewriter, index: int) -> int:
    """`from (show t)` describes t; `from (show tables)` names no table."""
    if rewriter.kind(index) != TokenType.SHOW or rewriter.kind(index - 1) != TokenType.L_PAREN:
        return 0
    end = rewriter.name_end(index + 1)
    if rewriter.word(index + 1) not in _SHOWN and rewriter.kind(end) == TokenType.R_PAREN:
        rewriter.emit(rewriter.tokens[index], (TokenType.DESCRIBE, "describe"))
        return 1
    end = index
    while end < len(rewriter.tokens) and rewriter.kind(end) != TokenType.R_PAREN:
        end += 1
    rewriter.emit(rewriter.tokens[index], (TokenType.SELECT, "select"), (TokenType.NUMBER, "1"))
    return end - index


def _described_table(rewriter: TokenRewriter, index: int) -> int:
    """`pragma_table_info('t')` is `(describe t)`; the name stays where it is."""
    first, end = index + 2, rewriter.name_end(index + 2)
    if rewriter.word(index) not in _DESCRIBING or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    named = [(token.token_type, token.text) for token in rewriter.tokens[first:end]]
    start, last = rewriter.tokens[first - 1].start, rewriter.tokens[end - 1].end
    if rewriter.kind(first) in TEXTS:
        token, end = rewriter.tokens[first], first + 1
        named, start = rewriter.name_of(token.text) or [], rewriter.content(token) or 0
        last = start + len(token.text) - 1
        rewriter.result.in_strings.add(start)
    elif named:
        start = rewriter.tokens[first].start
    if not named or not start or rewriter.kind(end) != TokenType.R_PAREN:
        rewriter.result.unseen.append(
            (rewriter.tokens[index].start, f"{rewriter.word(index)}(...)")
        )
        return 0
    rewriter.emit(
        rewriter.tokens[index], (TokenType.L_PAREN, "("), (TokenType.DESCRIBE, "describe")
    )
    rewriter.emit_name(named, start, last)
    rewriter.emit(rewriter.tokens[end], (TokenType.R_PAREN, ")"))
    return end + 1 - index


def _pivot_statement(rewriter: TokenRewriter, index: int) -> int:
    """PIVOT is a query. sqlglot knows it alone and in FROM. Elsewhere, and with ORDER BY or UNION
    behind it, it becomes `from (pivot ...)`."""
    kind = _PIVOTS.get(rewriter.word(index))
    if (
        kind is None
        or rewriter.kind(index) == TokenType.IDENTIFIER
        or not _begins_query(rewriter, index)
    ):
        return 0
    end = index + 1
    while end < len(rewriter.tokens) and rewriter.kind(end) not in (*_BEHIND_PIVOT, *_ENDS):
        end = rewriter.closing(end) + 1 if rewriter.kind(end) == TokenType.L_PAREN else end + 1
    held = rewriter.kind(index - 1) == TokenType.L_PAREN
    opener = rewriter.opened[-1] if held and rewriter.opened else None
    known = opener is not None and opener.token_type in _HOLDS_PIVOT
    known = known if held else rewriter.kind(index - 1) != TokenType.ALIAS
    if not known or rewriter.kind(end) in _BEHIND_PIVOT:
        rewriter.emit(rewriter.tokens[index], (TokenType.FROM, "from"), (TokenType.L_PAREN, "("))
        rewriter.closings.append(end)
    rewriter.emit(rewriter.tokens[index], (kind, rewriter.tokens[index].text))
    return 1


def _begins_query(rewriter: TokenRewriter, index: int) -> bool:
    """Whether a query begins there, and not the clause of a FROM item: `from t pivot (...)`."""
    before = rewriter.kind(index - 1)
    if before == TokenType.R_PAREN:  # of a CTE
        return rewriter.closed is not None and rewriter.closed.text.lower() in (
            "as",
            "materialized",
        )
    if before == TokenType.ALIAS:  # `create table t as pivot ...`, not `select 1 as pivot`
        return rewriter.kind(index + 1) in {*NAMES, *TEXTS, TokenType.L_PAREN}
    return index == 0 or before in SET_WORDS


def _keyword_as_name(rewriter: TokenRewriter, index: int) -> int:
    """`select range < 5, force from raw.union`."""
    word, kind, before = rewriter.word(index), rewriter.kind(index), rewriter.kind(index - 1)
    following = rewriter.kind(index + 1)
    if kind in NAMES or kind in TEXTS or not WORD.match(word):
        return 0
    if before == TokenType.DOT and rewriter.kind(index - 2) in NAMES:
        name = rewriter.tokens[index - 1].end + 1 == rewriter.tokens[index].start
    elif before is None or before == TokenType.SEMICOLON:
        name = False
    else:
        name = (
            (word in _NAMES_TOO and following != TokenType.INTO)
            or (word in _WITHOUT_BRACKET and following not in _OPENING)
            or (word in _ANGLED and following == TokenType.LT)
        )
    if name:
        rewriter.emit(rewriter.tokens[index], (TokenType.IDENTIFIER, rewriter.tokens[index].text))
    return int(name)


DUCKDB_TOKENS = TokenRules(
    by_words={
        _pivot_statement: ("pivot",),
        _query_in_text: ("query",),
        _show: ("show",),
        _described_table: tuple(_DESCRIBING),
        _query_table: ("query_table",),
        one_list_of_values: ("values",),
        table_names(_READS): tuple(_READS),
    },
    wider=(_keyword_as_name,),
)
