"""Tokens as the parser should see them, where sqlglot's grammar is narrower than the warehouse's.

The text is never changed, only the list of tokens between tokenizer and parser: what says nothing
of tables is left out (`using (id) as j`), and what names a table in another way than by its name
becomes that name (`query_table('orders')`, `identifier('raw.orders')`). Each token keeps its place
in the text, so what is found is found where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot.tokenizer_core import Token, TokenType

_NAMES = {TokenType.VAR, TokenType.IDENTIFIER}
_TEXTS = {TokenType.STRING, TokenType.HEREDOC_STRING, TokenType.RAW_STRING}
_WORD = re.compile(r"[^\W\d]\w*$")
#: A parenthesis behind one of these opens no list of arguments.
_NO_CALL = {
    *(TokenType.IN, TokenType.ANY, TokenType.ALL, TokenType.SOME, TokenType.EXISTS),
    *(TokenType.ALIAS, TokenType.FROM, TokenType.JOIN, TokenType.USING, TokenType.LATERAL),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.WHERE, TokenType.AND),
    *(TokenType.OR, TokenType.NOT, TokenType.ON, TokenType.SELECT, TokenType.VALUES),
    *(TokenType.TABLE, TokenType.OVER, TokenType.DISTINCT, TokenType.WITH),
}
_SET_WORDS = {
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT),
    *(TokenType.ALL, TokenType.DISTINCT, TokenType.L_PAREN, TokenType.SEMICOLON),
}
_SPARK = ("spark", "spark2", "databricks")
#: Functions whose argument is the text of a table's name.
_NAMING: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset({"query_table"}),
    "snowflake": frozenset({"table", "identifier"}),
    **dict.fromkeys(_SPARK, frozenset({"identifier"})),
}
#: What of SHOW in DuckDB is no table: `from (show tables)`.
_SHOWN = {"all", "tables", "databases", "schemas", "variables"}
#: What MySQL allows behind SELECT, in any order, also before DISTINCT.
_MODIFIERS = {
    *("straight_join", "high_priority", "sql_no_cache", "sql_calc_found_rows"),
    *("sql_small_result", "sql_big_result", "sql_buffer_result"),
}


@dataclass(slots=True)
class Prepared:
    """``tables``: where names begin in a function's arguments that are tables (`f(table t)`);
    ``fixed``: where names begin that may be given no alias; ``in_strings``: where names begin
    that stand in a string; ``unseen``: (offset, what) of tables that only running would tell."""

    tokens: list[Token] = field(default_factory=list)
    tables: set[int] = field(default_factory=set)
    fixed: set[int] = field(default_factory=set)
    in_strings: set[int] = field(default_factory=set)
    unseen: list[tuple[int, str]] = field(default_factory=list)


def prepare(
    text: str, tokens: Sequence[Token], dialect: str, tokenize: Callable[[str], Sequence[Token]]
) -> Prepared:
    """*tokens* of *text* for the parser of *dialect*. Never raises: what is odd stays as it is."""
    lower = text.lower()
    rules = [
        rule
        for rule in (_table_argument, *_RULES.get(dialect, ()))
        if any(word in lower for word in _WORDS[rule])
    ]
    work = _Work(text, tokens, dialect, tokenize)
    if not rules:  # nearly every text
        work.result.tokens = list(tokens)
        return work.result
    index = 0
    while index < len(tokens):
        taken = next((n for rule in rules if (n := rule(work, index))), 0)
        if not taken:
            work.result.tokens.append(tokens[index])
            taken = 1
        for token in tokens[index : index + taken]:
            work.parenthesis(token)
        index += taken
    return work.result


class _Work:
    """The state of one pass. ``opened``: for each open parenthesis, the token before it."""

    def __init__(
        self,
        text: str,
        tokens: Sequence[Token],
        dialect: str,
        tokenize: Callable[[str], Sequence[Token]],
    ) -> None:
        self.text, self.tokens, self.dialect, self.tokenize = text, tokens, dialect, tokenize
        self.result = Prepared()
        self.opened: list[Token | None] = []
        self.closed: Token | None = None  #: what stood before the parenthesis just closed
        self.before: Token | None = None
        self.braces = 0

    def parenthesis(self, token: Token) -> None:
        if token.token_type == TokenType.L_PAREN:
            self.opened.append(self.before)
        elif token.token_type == TokenType.R_PAREN:
            self.closed = self.opened.pop() if self.opened else None
        self.before = token

    def kind(self, index: int) -> TokenType | None:
        return self.tokens[index].token_type if 0 <= index < len(self.tokens) else None

    def word(self, index: int) -> str:
        return self.tokens[index].text.lower() if 0 <= index < len(self.tokens) else ""

    def in_call(self) -> bool:
        """Whether the innermost parenthesis is a function's."""
        caller = self.opened[-1] if self.opened else None
        return (
            caller is not None
            and caller.token_type not in _NO_CALL
            and (caller.token_type in _NAMES or _WORD.match(caller.text) is not None)
        )

    def name_end(self, index: int) -> int:
        """The index after the dotted name at *index*; *index* itself if there is none."""
        end = index
        while self.kind(end) in _NAMES or (end > index and _WORD.match(self.word(end))):
            if self.kind(end + 1) != TokenType.DOT:
                return end + 1
            end += 2
        return index

    def emit(self, like: Token, *words: tuple[TokenType, str]) -> None:
        self.result.tokens += [
            _token(like, kind, text, like.start, like.end) for kind, text in words
        ]

    def name_of(self, content: str) -> list[tuple[TokenType, str]] | None:
        """The tokens of a dotted name that stands in a string."""
        try:
            tokens = self.tokenize(content)
        except Exception:  # any text may stand in a string
            return None
        odd = [token.token_type in _NAMES or _WORD.match(token.text) for token in tokens[::2]]
        dots = all(token.token_type == TokenType.DOT for token in tokens[1::2])
        if len(tokens) % 2 == 0 or not all(odd) or not dots:
            return None
        kinds = {TokenType.IDENTIFIER: TokenType.IDENTIFIER, TokenType.DOT: TokenType.DOT}
        return [(kinds.get(token.token_type, TokenType.VAR), token.text) for token in tokens]

    def emit_name(self, name: Sequence[tuple[TokenType, str]], start: int, end: int) -> None:
        """The tokens of a name that stands for the text from *start* to *end* (inclusive)."""
        for place, (kind, text) in enumerate(name):
            last = place == len(name) - 1
            at = start + place
            like = self.before or self.tokens[0]
            self.result.tokens.append(_token(like, kind, text, at, end if last else at))

    def content(self, token: Token) -> int | None:
        """Where the content of a string begins in the text; None if it has escapes."""
        written = self.text[token.start : token.end + 1]
        before = written.find(token.text) if token.text else -1
        if before < 1 or len(written) != len(token.text) + 2 * before:
            return None
        return token.start + before


def _token(like: Token, kind: TokenType, text: str, start: int, end: int) -> Token:
    return Token(kind, text, line=like.line, col=like.col, start=start, end=end, comments=[])


#: What a rule returns: how many tokens it has taken; 0 if it does not apply.
_Rule = Callable[[_Work, int], int]


def _table_argument(work: _Work, index: int) -> int:
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


def _named_in_text(work: _Work, index: int) -> int:
    """`query_table('t')`, `identifier('s.t')`, `table('t')`: the call becomes the name."""
    if work.word(index) not in _NAMING.get(work.dialect, ()):
        return 0
    if work.kind(index) == TokenType.IDENTIFIER or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index + 2) == TokenType.L_BRACKET:
        return _list_of_names(work, index)
    first = work.tokens[index + 2] if index + 2 < len(work.tokens) else work.tokens[index]
    start = work.tokens[index].start
    if first.token_type in _TEXTS and work.kind(index + 3) == TokenType.R_PAREN:
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


def _list_of_names(work: _Work, index: int) -> int:
    """`query_table(['a', 'b'])` becomes `(select * from a, b)`; the names stay in their strings."""
    end = index + 3
    names: list[tuple[Token, int, list[tuple[TokenType, str]]]] = []
    while end < len(work.tokens) and work.kind(end) in _TEXTS:
        token = work.tokens[end]
        name, at = work.name_of(token.text), work.content(token)
        if name is None or at is None:
            break
        names.append((token, at, name))
        end += 2 if work.kind(end + 1) == TokenType.COMMA else 1
    if not names or work.kind(end) != TokenType.R_BRACKET:
        work.result.unseen.append((work.tokens[index].start, "query_table(...)"))
        return 0
    while end < len(work.tokens) and work.kind(end) != TokenType.R_PAREN:
        end += 1  # `by_name`, the second argument
    head = work.tokens[index]
    work.emit(head, (TokenType.L_PAREN, "("), (TokenType.SELECT, "select"), (TokenType.STAR, "*"))
    for place, (token, at, name) in enumerate(names):
        comma = (TokenType.COMMA, ",") if place else (TokenType.FROM, "from")
        work.emit(head, comma)
        work.emit_name(name, at, at + len(token.text) - 1)
        work.result.in_strings.add(at)
        work.result.fixed.add(at)
    work.emit(work.tokens[end - 1], (TokenType.R_PAREN, ")"))
    return end + 1 - index


def _query_in_text(work: _Work, index: int) -> int:
    """`query('select ...')` of DuckDB: the text is the query."""
    if work.word(index) != "query" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index - 1) not in (TokenType.FROM, TokenType.JOIN, TokenType.COMMA):
        return 0
    inside = work.tokens[index + 2]
    at = work.content(inside) if inside.token_type in _TEXTS else None
    if at is None or work.kind(index + 3) != TokenType.R_PAREN:
        work.result.unseen.append((work.tokens[index].start, "query(...)"))
        return 0
    try:
        tokens = list(work.tokenize(inside.text))
    except Exception:  # not SQL: the warehouse will say so
        return 0
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    inner = prepare(inside.text, tokens, work.dialect, work.tokenize)
    work.emit(work.tokens[index], (TokenType.L_PAREN, "("))
    for token in inner.tokens:
        moved = _token(token, token.token_type, token.text, token.start + at, token.end + at)
        work.result.tokens.append(moved)
    work.result.tables.update(start + at for start in inner.tables)
    work.result.fixed.update(start + at for start in inner.fixed)
    work.result.unseen += [(start + at, what) for start, what in inner.unseen]
    work.result.in_strings.update(start + at for start in inner.in_strings)
    if work.text[inside.start] == "'":
        work.result.in_strings.update(token.start + at for token in inner.tokens)
    work.emit(work.tokens[index + 3], (TokenType.R_PAREN, ")"))
    return 4


def _show(work: _Work, index: int) -> int:
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


def _only(work: _Work, index: int) -> int:
    """PostgreSQL: `from only (t)`."""
    if work.word(index) != "only" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index - 1) not in (TokenType.FROM, TokenType.JOIN, TokenType.COMMA):
        return 0
    work.result.fixed.add(work.tokens[index + 2].start)
    return 1


def _alias_of_using(work: _Work, index: int) -> int:
    """PostgreSQL: `using (id) as j` names the joined columns."""
    closed = work.closed
    if work.kind(index) != TokenType.ALIAS or work.kind(index - 1) != TokenType.R_PAREN:
        return 0
    return 2 if closed is not None and closed.token_type == TokenType.USING else 0


def _table_statement(work: _Work, index: int) -> int:
    """Spark: `table t` is a query."""
    if work.kind(index) != TokenType.TABLE or work.kind(index + 1) not in _NAMES:
        return 0
    if index and work.kind(index - 1) not in _SET_WORDS:
        return 0
    words = (TokenType.SELECT, "select"), (TokenType.STAR, "*"), (TokenType.FROM, "from")
    work.emit(work.tokens[index], *words)
    work.result.fixed.add(work.tokens[index + 1].start)
    return 1


def _mysql_words(work: _Work, index: int) -> int:
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


def _bigquery_words(work: _Work, index: int) -> int:
    """BigQuery: bytes in raw strings (rb'...'), and `proj.dataset`.table, whose back-ticks hold
    two of three parts: sqlglot knows it, but loses the places."""
    token = work.tokens[index]
    following = work.tokens[index + 1] if index + 1 < len(work.tokens) else None
    if token.token_type == TokenType.VAR and token.text.lower() in ("rb", "br"):
        touches = following is not None and following.start == token.end + 1
        return 1 if touches and work.kind(index + 1) in _TEXTS else 0
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


def _clickhouse_null(work: _Work, index: int) -> int:
    """ClickHouse: `null('x Int')` is a table function."""
    if work.kind(index) != TokenType.NULL or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    work.emit(work.tokens[index], (TokenType.VAR, "null"))
    return 1


#: A rule can only apply to a text that holds one of these, in lower case.
_WORDS: Mapping[_Rule, tuple[str, ...]] = {
    _table_argument: ("table",),
    _named_in_text: ("query_table", "table", "identifier"),
    _query_in_text: ("query",),
    _show: ("show",),
    _only: ("only",),
    _alias_of_using: ("using",),
    _table_statement: ("table",),
    _mysql_words: (*_MODIFIERS, "oj"),
    _bigquery_words: ("`", "rb'", 'rb"', "br'", 'br"'),
    _clickhouse_null: ("null",),
}
_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "duckdb": (_named_in_text, _query_in_text, _show),
    "snowflake": (_named_in_text,),
    "postgres": (_only, _alias_of_using),
    "mysql": (_mysql_words,),
    "bigquery": (_bigquery_words,),
    "clickhouse": (_clickhouse_null,),
    **dict.fromkeys(_SPARK, (_named_in_text, _table_statement)),
}
