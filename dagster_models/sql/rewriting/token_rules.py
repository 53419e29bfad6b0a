"""The rules of prepare.py: where sqlglot's grammar is narrower than a warehouse's.

A rule looks at one token and returns how many it has taken, having written others in their place;
0 if it does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot.tokenizer_core import TokenType

from dagster_models.sql.dialects.duckdb_tokens import DUCKDB_WIDER, DUCKDB_WORDS
from dagster_models.sql.dialects.postgres_tokens import POSTGRES_WIDER, POSTGRES_WORDS, number
from dagster_models.sql.rewriting.token_rewriter import NAMES, SET_WORDS, TEXTS, Rule, Work

_SPARK = ("spark", "spark2", "databricks")
#: Functions whose argument is the text of a table's name.
_NAMING: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset({"query_table"}),
    "snowflake": frozenset({"table", "identifier"}),
    **dict.fromkeys(_SPARK, frozenset({"identifier"})),
}
#: A name with dashes, as BigQuery takes it without back-ticks.
_DASHED = re.compile(r"[^\W\d]\w*(-\w+)*(\.\w+(-\w+)*)*")
#: What MySQL allows behind SELECT, in any order, also before DISTINCT.
_MODIFIERS = {
    *("straight_join", "high_priority", "sql_cache", "sql_no_cache", "sql_calc_found_rows"),
    *("sql_small_result", "sql_big_result", "sql_buffer_result"),
}


def table_argument(work: Work, index: int) -> int:
    """`f(table t)`, `f(x => table(t))`: a table among a function's arguments."""
    if work.kind(index) != TokenType.TABLE or not work.in_call():
        return 0
    if work.kind(index + 1) == TokenType.L_PAREN:
        end = work.name_end(index + 2)
        if end > index + 2 and work.kind(end) == TokenType.R_PAREN:
            work.result.tables.add(work.tokens[index + 2].start)
        return 0
    if work.name_end(index + 1) > index + 1:
        work.result.tables.add(work.tokens[index + 1].start)
        return 1
    return 0


def _named_in_text(work: Work, index: int) -> int:
    """`query_table('t')`, `identifier('s.t')`, `table('t')`: the call becomes the name."""
    if work.word(index) not in _NAMING.get(work.dialect, ()):
        return 0
    if work.kind(index) == TokenType.IDENTIFIER or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index + 2) == TokenType.L_BRACKET:
        return _list_of_names(work, index)
    first = work.tokens[index + 2] if index + 2 < len(work.tokens) else work.tokens[index]
    start = work.tokens[index].start
    if first.token_type in TEXTS and work.kind(index + 3) == TokenType.R_PAREN:
        name = work.name_of(first.text)
        if name is not None:
            work.emit_name(name, start, work.tokens[index + 3].end)
            return 4
    end = work.name_end(index + 2)
    if work.dialect == "duckdb" and end > index + 2 and work.kind(end) == TokenType.R_PAREN:
        tokens = work.tokens[index + 2 : end]
        work.emit_name([(t.token_type, t.text) for t in tokens], start, work.tokens[end].end)
        return end + 1 - index
    if work.word(index) == "query_table" or (
        work.word(index) == "identifier"
        and work.kind(index - 1) in (TokenType.FROM, TokenType.JOIN)
    ):
        work.result.unseen.append((start, f"{work.word(index)}(...)"))
    return 0


def _list_of_names(work: Work, index: int) -> int:
    """`query_table(['a', b])` becomes `(select * from a, b)`; the names stay where they are."""
    end = index + 3
    names: list[tuple[int, int, list[tuple[TokenType, str]]]] = []
    while end < len(work.tokens) and work.kind(end) != TokenType.R_BRACKET:
        token, after = work.tokens[end], work.name_end(end)
        if after > end:
            parts = [(t.token_type, t.text) for t in work.tokens[end:after]]
            names.append((token.start, work.tokens[after - 1].end, parts))
        else:
            name = work.name_of(token.text) if token.token_type in TEXTS else None
            at = work.content(token)
            if name is None or at is None:
                break
            names.append((at, at + len(token.text) - 1, name))
            work.result.in_strings.add(at)
            after = end + 1
        end = after + 1 if work.kind(after) == TokenType.COMMA else after
    if not names or work.kind(end) != TokenType.R_BRACKET:
        work.result.unseen.append((work.tokens[index].start, "query_table(...)"))
        return 0
    while end < len(work.tokens) and work.kind(end) != TokenType.R_PAREN:
        end += 1  # `by_name`, the second argument
    head = work.tokens[index]
    work.emit(head, (TokenType.L_PAREN, "("), (TokenType.SELECT, "select"), (TokenType.STAR, "*"))
    for place, (start, last, name) in enumerate(names):
        comma = (TokenType.COMMA, ",") if place else (TokenType.FROM, "from")
        work.emit(head, comma)
        work.emit_name(name, start, last)
        work.result.fixed.add(start)
    work.emit(work.tokens[end - 1], (TokenType.R_PAREN, ")"))
    return end + 1 - index


def _table_statement(work: Work, index: int) -> int:
    """Spark: `table t` is a query."""
    if work.kind(index) != TokenType.TABLE or work.kind(index + 1) not in NAMES:
        return 0
    if index and work.kind(index - 1) not in SET_WORDS:
        return 0
    words = (TokenType.SELECT, "select"), (TokenType.STAR, "*"), (TokenType.FROM, "from")
    work.emit(work.tokens[index], *words)
    work.result.fixed.add(work.tokens[index + 1].start)
    return 1


def _mysql_words(work: Work, index: int) -> int:
    """MySQL: `select straight_join ...` and ODBC's `{ oj a left outer join b }`."""
    if work.word(index) in _MODIFIERS:
        before = work.kind(index - 1) == TokenType.SELECT or work.word(index - 1) in _MODIFIERS
        return 1 if before else 0
    if work.kind(index) == TokenType.L_BRACE and work.word(index + 1) == "oj":
        work.braces += 1
        work.emit(work.tokens[index], (TokenType.L_PAREN, "("))
        return 2
    if work.kind(index) == TokenType.R_BRACE and work.braces:
        work.braces -= 1
        work.emit(work.tokens[index], (TokenType.R_PAREN, ")"))
        return 1
    return 0


def _bigquery_words(work: Work, index: int) -> int:
    """BigQuery: bytes in raw strings (rb'...'), and `proj.dataset`.table, whose back-ticks hold
    two of three parts: sqlglot knows it, but loses the places."""
    token = work.tokens[index]
    following = work.tokens[index + 1] if index + 1 < len(work.tokens) else None
    if token.token_type == TokenType.VAR and token.text.lower() in ("rb", "br"):
        touches = following is not None and following.start == token.end + 1
        return 1 if touches and work.kind(index + 1) in TEXTS else 0
    if token.token_type != TokenType.IDENTIFIER or "." not in token.text:
        return 0
    if TokenType.DOT not in (work.kind(index - 1), work.kind(index + 1)):
        return 0
    parts = token.text.split(".")
    if not all(parts):
        return 0
    name: list[tuple[TokenType, str]] = []
    for part in parts:
        name += [(TokenType.DOT, "."), (TokenType.IDENTIFIER, part)]
    work.emit_name(name[1:], token.start, token.end)
    return 1


def _bigquery_digits(work: Work, index: int) -> int:
    """BigQuery: in `data.2023_sales` the table's name begins with digits."""
    if work.kind(index) != TokenType.NUMBER:
        return 0
    taken = 2 if work.touch(index, index + 1, TokenType.VAR) else 1
    after_dot = work.touch(index - 2, index - 1, TokenType.DOT) and work.kind(index - 2) in NAMES
    after_from = work.kind(index - 1) in (TokenType.FROM, TokenType.JOIN) and taken == 2
    if not after_dot and not after_from:
        return 0  # `.5` is a dot and a number too
    token = work.tokens[index]
    name = work.text[token.start : work.tokens[index + taken - 1].end + 1]
    work.emit_at(TokenType.VAR, name, token.start)
    return taken


def _bigquery_dashes(work: Work, index: int) -> int:
    """BigQuery: `from my-project-1.data.table-2`, without back-ticks."""
    if work.kind(index - 1) not in (TokenType.FROM, TokenType.JOIN):
        return 0
    start = work.tokens[index].start
    found = _DASHED.match(work.text, start)
    if found is None or "-" not in found[0]:
        return 0
    taken = 1
    while work.tokens[index + taken - 1].end + 1 < found.end():
        taken += 1
    at = start
    for part in found[0].split("."):
        if at > start:
            work.emit_at(TokenType.DOT, ".", at - 1)
        work.emit_at(TokenType.VAR, part, at)
        at += len(part) + 1
    return taken


def _tsql_hints(work: Work, index: int) -> int:
    """T-SQL: `option (use hint (...))` names no table."""
    if work.word(index) != "option" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    return work.closing(index + 1) + 1 - index


def _tsql_match(work: Work, index: int) -> int:
    """T-SQL's graphs: `match (a-(knows)->b)` names what stands in FROM."""
    if work.word(index) != "match" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    one = (TokenType.NUMBER, "1")
    work.emit(work.tokens[index], one, (TokenType.EQ, "="), one)
    return work.closing(index + 1) + 1 - index


def _tsql_apply(work: Work, index: int) -> int:
    """T-SQL: `cross apply t` of a table is a join."""
    if work.word(index + 1) != "apply" or work.word(index) not in ("cross", "outer"):
        return 0
    end = work.name_end(index + 2)
    if end == index + 2 or work.kind(end) == TokenType.L_PAREN:
        return 0
    work.emit(work.tokens[index], (TokenType.CROSS, "cross"), (TokenType.JOIN, "join"))
    return 2


def _tsql_index(work: Work, index: int) -> int:
    """T-SQL: `with (index = x)` is `with (index(x))`, which sqlglot knows."""
    before = work.kind(index - 2) in (TokenType.L_PAREN, TokenType.COMMA)
    if work.kind(index) != TokenType.EQ or work.word(index - 1) != "index" or not before:
        return 0
    if work.kind(index + 1) == TokenType.L_PAREN:
        return 1
    name = work.tokens[index + 1]
    work.emit(name, (TokenType.L_PAREN, "("), (name.token_type, name.text))
    work.emit(name, (TokenType.R_PAREN, ")"))
    return 2


def _spark_parameter(work: Work, index: int) -> int:
    """Spark, Databricks: `from ${catalog}.t` is whatever the parameter holds."""
    names = work.kind(index - 1) in (TokenType.FROM, TokenType.JOIN, TokenType.DOT)
    if names and work.word(index) == "$" and work.kind(index + 1) == TokenType.L_BRACE:
        work.result.unseen.append((work.tokens[index].start, "${...}"))
    return 0


def _clickhouse_null(work: Work, index: int) -> int:
    """ClickHouse: `null('x Int')` is a table function."""
    if work.kind(index) != TokenType.NULL or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    work.emit(work.tokens[index], (TokenType.VAR, "null"))
    return 1


#: A rule can only apply to a text that holds one of these, in lower case.
WORDS: Mapping[Rule, tuple[str, ...]] = {
    table_argument: ("table",),
    _named_in_text: ("query_table", "table", "identifier"),
    _table_statement: ("table",),
    _mysql_words: (*_MODIFIERS, "oj"),
    _bigquery_words: ("`", "rb'", 'rb"', "br'", 'br"'),
    _bigquery_digits: tuple(f"{before}{digit}" for before in ".\n " for digit in range(10)),
    _tsql_hints: ("option",),
    _tsql_match: ("match",),
    _tsql_apply: ("apply",),
    _tsql_index: ("index",),
    _bigquery_dashes: ("-",),
    _spark_parameter: ("${",),
    _clickhouse_null: ("null",),
    **DUCKDB_WORDS,
    **POSTGRES_WORDS,
}
RULES: Mapping[str, tuple[Rule, ...]] = {
    "duckdb": (*DUCKDB_WORDS, _named_in_text),
    "snowflake": (_named_in_text,),
    "postgres": tuple(POSTGRES_WORDS),
    "trino": (number,),
    "mysql": (_mysql_words,),
    "bigquery": (_bigquery_words, _bigquery_dashes, _bigquery_digits),
    "tsql": (_tsql_hints, _tsql_match, _tsql_apply, _tsql_index),
    "clickhouse": (_clickhouse_null,),
    **dict.fromkeys(_SPARK, (_named_in_text, _table_statement, _spark_parameter)),
}
#: For a text that the parser has refused.
WIDER: Mapping[str, tuple[Rule, ...]] = {
    "duckdb": DUCKDB_WIDER,
    "postgres": POSTGRES_WIDER,
    "trino": (number,),
}
