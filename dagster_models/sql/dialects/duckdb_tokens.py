"""As token_rules.py, for DuckDB: texts that name tables, SHOW, PIVOT, names that are keywords to
sqlglot."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot.tokenizer_core import TokenType

from dagster_models.sql.rewriting.token_rewriter import (
    NAMES,
    SET_WORDS,
    TEXTS,
    WORD,
    Rule,
    Work,
    token_like,
)

#: What of SHOW in DuckDB is no table: `from (show tables)`.
_SHOWN = {"all", "tables", "databases", "schemas", "variables"}
#: Table functions of DuckDB that tell of the table whose name they are given as a text.
_TELLING = {"pragma_table_info", "pragma_show", "pragma_storage_info", "duckdb_table_sample"}
_PIVOTS = {
    "pivot": TokenType.PIVOT,
    "pivot_wider": TokenType.PIVOT,
    "unpivot": TokenType.UNPIVOT,
    "pivot_longer": TokenType.UNPIVOT,
}
#: What ends the statement PIVOT, outside of parentheses, and belongs to the query around it.
_BEHIND_PIVOT = {
    *(TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET, TokenType.FETCH),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT),
}
#: Before such a parenthesis sqlglot knows that the statement in it is a table.
_HOLDS_PIVOT = {TokenType.FROM, TokenType.JOIN, TokenType.COMMA, TokenType.ALIAS}
_ENDS = {TokenType.R_PAREN, TokenType.SEMICOLON}

#: Names, too: to sqlglot these begin a statement or are operators.
_NAMES_TOO = {
    *("alter", "drop", "force", "grant", "insert", "install", "lock"),
    *("partitioned_by", "regexp", "revoke", "rlike", "rollback", "uncache", "xor"),
}
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACE, TokenType.L_BRACKET}
#: Without a bracket behind them: `map {...}` and `values (1)` are something else.
_WITHOUT_BRACKET = {"cube", "map", "rollup", "values"}
#: Types that have a list in angle brackets elsewhere; here `range < 5` compares.
_ANGLED = {"array", "list", "map", "nested", "nullable", "object", "range", "row", "struct"}


def _query_in_text(work: Work, index: int) -> int:
    """`query('select ...')` of DuckDB: the text is the query."""
    if work.word(index) != "query" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index - 1) not in (TokenType.FROM, TokenType.JOIN, TokenType.COMMA):
        return 0
    inside = work.tokens[index + 2]
    at = work.content(inside) if inside.token_type in TEXTS else None
    if at is None or work.kind(index + 3) != TokenType.R_PAREN:
        work.result.unseen.append((work.tokens[index].start, "query(...)"))
        return 0
    try:
        tokens = list(work.tokenize(inside.text))
    except Exception:  # not SQL: the warehouse will say so
        return 0
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    inner = work.prepare(inside.text, tokens)
    work.emit(work.tokens[index], (TokenType.L_PAREN, "("))
    for token in inner.tokens:
        moved = token_like(token, token.token_type, token.text, token.start + at, token.end + at)
        work.result.tokens.append(moved)
    work.result.tables.update(start + at for start in inner.tables)
    work.result.fixed.update(start + at for start in inner.fixed)
    work.result.unseen += [(start + at, what) for start, what in inner.unseen]
    work.result.in_strings.update(start + at for start in inner.in_strings)
    if work.text[inside.start] == "'":
        work.result.in_strings.update(token.start + at for token in inner.tokens)
    work.emit(work.tokens[index + 3], (TokenType.R_PAREN, ")"))
    return 4


def _show(work: Work, index: int) -> int:
    """`from (show t)` describes t; `from (show tables)` names none."""
    if work.kind(index) != TokenType.SHOW or work.kind(index - 1) != TokenType.L_PAREN:
        return 0
    end = work.name_end(index + 1)
    if work.word(index + 1) not in _SHOWN and work.kind(end) == TokenType.R_PAREN:
        work.emit(work.tokens[index], (TokenType.DESCRIBE, "describe"))
        return 1
    end = index
    while end < len(work.tokens) and work.kind(end) != TokenType.R_PAREN:
        end += 1
    work.emit(work.tokens[index], (TokenType.SELECT, "select"), (TokenType.NUMBER, "1"))
    return end - index


def _told_of(work: Work, index: int) -> int:
    """`pragma_table_info('t')` is `(describe t)`; the name stays where it is."""
    first, end = index + 2, work.name_end(index + 2)
    if work.word(index) not in _TELLING or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    named = [(token.token_type, token.text) for token in work.tokens[first:end]]
    start, last = work.tokens[first - 1].start, work.tokens[end - 1].end
    if work.kind(first) in TEXTS:
        token, end = work.tokens[first], first + 1
        named, start = work.name_of(token.text) or [], work.content(token) or 0
        last = start + len(token.text) - 1
        work.result.in_strings.add(start)
    elif named:
        start = work.tokens[first].start
    if not named or not start or work.kind(end) != TokenType.R_PAREN:
        work.result.unseen.append((work.tokens[index].start, f"{work.word(index)}(...)"))
        return 0
    work.emit(work.tokens[index], (TokenType.L_PAREN, "("), (TokenType.DESCRIBE, "describe"))
    work.emit_name(named, start, last)
    work.emit(work.tokens[end], (TokenType.R_PAREN, ")"))
    return end + 1 - index


def _pivot_statement(work: Work, index: int) -> int:
    """DuckDB: PIVOT is a query. sqlglot knows it alone and in FROM; elsewhere, and with ORDER BY
    or UNION behind it, it becomes `from (pivot ...)`."""
    work.close(index)
    kind = _PIVOTS.get(work.word(index))
    if kind is None or work.kind(index) == TokenType.IDENTIFIER or not _begins_query(work, index):
        return 0
    end = index + 1
    while end < len(work.tokens) and work.kind(end) not in (*_BEHIND_PIVOT, *_ENDS):
        end = work.closing(end) + 1 if work.kind(end) == TokenType.L_PAREN else end + 1
    held = work.kind(index - 1) == TokenType.L_PAREN
    opener = work.opened[-1] if held and work.opened else None
    known = opener is not None and opener.token_type in _HOLDS_PIVOT
    known = known if held else work.kind(index - 1) != TokenType.ALIAS
    if not known or work.kind(end) in _BEHIND_PIVOT:
        work.emit(work.tokens[index], (TokenType.FROM, "from"), (TokenType.L_PAREN, "("))
        work.closings.append(end)
    work.emit(work.tokens[index], (kind, work.tokens[index].text))
    return 1


def _begins_query(work: Work, index: int) -> bool:
    """Whether a query begins there, and not the clause of a FROM item: `from t pivot (...)`."""
    before = work.kind(index - 1)
    if before == TokenType.R_PAREN:  # of a CTE
        return work.closed is not None and work.closed.text.lower() in ("as", "materialized")
    if before == TokenType.ALIAS:  # `create table t as pivot ...`, not `select 1 as pivot`
        return work.kind(index + 1) in {*NAMES, *TEXTS, TokenType.L_PAREN}
    return index == 0 or before in SET_WORDS


def _keyword_as_name(work: Work, index: int) -> int:
    """`select range < 5, force from raw.union`."""
    word, kind, before = work.word(index), work.kind(index), work.kind(index - 1)
    following = work.kind(index + 1)
    if kind in NAMES or kind in TEXTS or not WORD.match(word):
        return 0
    if before == TokenType.DOT and work.kind(index - 2) in NAMES:
        name = work.tokens[index - 1].end + 1 == work.tokens[index].start
    elif before is None or before == TokenType.SEMICOLON:
        name = False
    else:
        name = (
            (word in _NAMES_TOO and following != TokenType.INTO)
            or (word in _WITHOUT_BRACKET and following not in _OPENING)
            or (word in _ANGLED and following == TokenType.LT)
        )
    if name:
        work.emit(work.tokens[index], (TokenType.IDENTIFIER, work.tokens[index].text))
    return int(name)


#: A rule can only apply to a text that holds one of these, in lower case.
DUCKDB_WORDS: Mapping[Rule, tuple[str, ...]] = {
    _pivot_statement: ("pivot",),
    _query_in_text: ("query",),
    _show: ("show",),
    _told_of: tuple(_TELLING),
}
#: For what sqlglot's parser has refused.
DUCKDB_WIDER: tuple[Rule, ...] = (_keyword_as_name,)
