"""Queries of a common form, whose tables are found without a syntax tree.

    tokens ──> a letter for each ──> is it the grammar below? ──> the names after FROM and JOIN

The tree, and the walk over it, are two thirds of what it takes to read a text. Most texts are CTEs,
joins, conditions and calls of a few functions, and as soon as it is known that a text is nothing
else, the names after FROM and JOIN are its tables. The grammar is a part of what sqlglot's parser
accepts in every dialect (tests/sql/test_common_queries.py compares them). Any other text is for
the parser, one with a mistake too.

What is in parentheses, and a CASE, is replaced by one letter, from the inside out. So regular
expressions are enough, and they are short: a long one takes long to be compiled in each process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sqlglot import TokenType

from dagster_models.core.model import Reference
from dagster_models.sql.dialects.known_functions import (
    CALLS_AND_SUBSCRIPTS,
    LETTERS,
    LETTERS_IN,
    WITHOUT_REPLACE,
)
from dagster_models.sql.rewriting.token_rewriter import Prepared
from dagster_models.sql.suspects import may_name_table
from dagster_models.sql.tokens import TokenizedText
from dagster_models.sql.unknown_functions import is_unknown

# --- the letters -------------------------------------------------------------------------------

_NAME, _QUOTED, _MOMENT, _OTHER = "v", "V", "m", "?"
_UNKNOWN = "@"  #: the name of a function that the parser does not know
#: What may name a column as it is written. In some dialects, CURRENT_DATE is one to the parser.
_NAMES = frozenset({_NAME, _MOMENT})
_KINDS: Mapping[str, tuple[TokenType, ...]] = {
    _NAME: (TokenType.VAR,),
    _QUOTED: (TokenType.IDENTIFIER,),
    "n": (TokenType.NUMBER,),
    "s": (TokenType.STRING,),
    "l": (TokenType.NULL, TokenType.TRUE, TokenType.FALSE),
    _MOMENT: (TokenType.CURRENT_DATE, TokenType.CURRENT_TIMESTAMP),
    "i": (TokenType.INTERVAL,),
    "T": (
        *(TokenType.INT, TokenType.BIGINT, TokenType.SMALLINT, TokenType.BOOLEAN),
        *(TokenType.FLOAT, TokenType.DOUBLE, TokenType.DATE, TokenType.DATETIME),
        *(TokenType.TIMESTAMP, TokenType.TIMESTAMPNTZ, TokenType.TIMESTAMPTZ),
    ),
    "C": (TokenType.DECIMAL, TokenType.VARCHAR, TokenType.TEXT),  # they may have a size
    "W": (TokenType.WITH,),
    "S": (TokenType.SELECT,),
    "D": (TokenType.DISTINCT,),
    "F": (TokenType.FROM,),
    "J": (TokenType.JOIN,),
    "L": (TokenType.LEFT, TokenType.RIGHT, TokenType.FULL),
    "R": (TokenType.OUTER,),
    "I": (TokenType.INNER,),
    "X": (TokenType.CROSS,),
    "N": (TokenType.ON,),
    "u": (TokenType.USING,),
    "w": (TokenType.WHERE,),
    "G": (TokenType.GROUP_BY,),
    "H": (TokenType.HAVING,),
    "Q": (TokenType.QUALIFY,),
    "O": (TokenType.ORDER_BY,),
    "d": (TokenType.ASC, TokenType.DESC),
    "K": (TokenType.LIMIT,),
    "U": (TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT),
    "A": (TokenType.ALL,),
    "a": (TokenType.ALIAS,),
    "c": (TokenType.CASE,),
    "h": (TokenType.WHEN,),
    "t": (TokenType.THEN,),
    "e": (TokenType.ELSE,),
    "E": (TokenType.END,),
    "o": (TokenType.OVER,),
    "p": (TokenType.PARTITION_BY,),
    "+": (TokenType.PLUS, TokenType.SLASH, TokenType.DPIPE),
    "-": (TokenType.DASH,),
    "*": (TokenType.STAR,),
    "=": (
        *(TokenType.EQ, TokenType.NEQ),
        *(TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE),
    ),
    "&": (TokenType.AND,),
    "|": (TokenType.OR,),
    "!": (TokenType.NOT,),
    "M": (TokenType.IN,),
    "B": (TokenType.BETWEEN,),
    "k": (TokenType.LIKE,),
    "j": (TokenType.IS,),
    "Y": (TokenType.EXISTS,),
    "9": (TokenType.REPLACE,),
    "$": (TokenType.PARAMETER,),
    ":": (TokenType.DCOLON,),
    "(": (TokenType.L_PAREN,),
    ")": (TokenType.R_PAREN,),
    "[": (TokenType.L_BRACKET,),
    "]": (TokenType.R_BRACKET,),
    ",": (TokenType.COMMA,),
    ".": (TokenType.DOT,),
    ";": (TokenType.SEMICOLON,),
}
_LETTER_OF = dict.fromkeys(TokenType, _OTHER) | {
    kind: letter for letter, kinds in _KINDS.items() for kind in kinds
}
#: Words that the parser knows by their text, though the tokenizer takes them for names.
WORDS = frozenset(
    {
        *("asymmetric", "symmetric", "leading", "trailing", "both", "to"),
        *("connect_by_root", "prior", "if", "lambda"),
    }
)

# --- the grammar -------------------------------------------------------------------------------
# A value that is more than one token has become x, or b if it compares; a call r, its window g, a
# CASE f, `a.b` y, several values z, a query q, and a type with a size P.

_TERM = "[vynslmrfxq]"
_VALUE = "[vynslmrfxqb]"
_VALUES = f"{_VALUE}(?:,{_VALUE})*"
#: The steps from tokens to values, each done wherever it fits, in this order; and what they make.
_STEPS = tuple(
    (re.compile(step), becomes)
    for step, becomes in (
        (r"[vynslrxq](?::[TCP]){1,2}|[TC]s(?::[TCP]){0,2}|i[ns]v?|Yq|rg", "x"),
        (f"-{_TERM}(?:[-+*]-?{_TERM})*|{_TERM}(?:[-+*]-?{_TERM})+", "x"),
        (f"{_TERM}(?:j!?l|!?B{_TERM}&{_TERM}|!?k{_TERM}|!?Mz)", "b"),
        (f"!{_VALUE}(?:={_VALUE})*|{_VALUE}(?:={_VALUE})+", "b"),
        (f"{_VALUE}(?:[&|]{_VALUE})+", "b"),
    )
)
_CASE = re.compile(r"c([^cE]*)E")
_CASE_PARTS = re.compile(f"{_VALUE}?(?:h{_VALUE}t{_VALUE})+(?:e{_VALUE})?")
_ORDER = f"O{_VALUE}d?(?:,{_VALUE}d?)*"
_ITEM = rf"(?:(?:v\.)?\*(?!U)|{_VALUE}(?:a?v)?)"  # `* except` is more than a star
_SOURCE = r"(?:v|y|y\.v|q)(?:a?v)?"
_JOIN = f"(?:XJ{_SOURCE}|(?:LR?|I)?J{_SOURCE}(?:N{_VALUE}|uz))"
_SELECT = (
    f"SD?{_ITEM}(?:,{_ITEM})*(?:F{_SOURCE}{_JOIN}*)?(?:w{_VALUE})?"
    f"(?:G{_VALUES})?(?:H{_VALUE})?(?:Q{_VALUE})?"
)
_QUERY = f"{_SELECT}(?:U[AD]{_SELECT})*(?:{_ORDER})?(?:Kn)?"
_WHOLE = re.compile(f"(?:Wvaq(?:,vaq)*)?{_QUERY};*")
#: What is behind an opening parenthesis, by what is before it; and what the two become. No other
#: name has one behind it.
_PARENTHESES = {
    before: tuple((re.compile(inside), becomes) for inside, becomes in forms)
    for before, forms in {
        "": ((_VALUE, "x"), (_QUERY, "q")),
        "0": (("", "r"),),
        "1": ((_VALUE, "r"),),
        "2": ((f"{_VALUE},{_VALUE}", "r"),),
        "3": ((f"{_VALUE}(?:,{_VALUE}){{0,2}}", "r"),),
        "4": ((_VALUES, "r"),),
        "5": ((rf"\*|D?{_VALUE}", "r"),),
        "6": ((_TERM, "r"),),
        "7": ((f"{_TERM}(?:,{_TERM}){{1,2}}", "r"),),
        "8": ((f"{_VALUE}a[TCP]", "r"),),
        "9": ((f"{_VALUE},{_VALUE},{_VALUE}", "r"),),
        _UNKNOWN: ((f"(?:{_VALUES})?", "r"),),
        "#": (("[vys](?:,s)?", "r"),),  # of a number, sqlglot does not know it
        "o": ((f"(?:p{_VALUES})?(?:{_ORDER})?", "g"),),
        "M": ((_VALUES, "Mz"), (_QUERY, "Mz")),
        "u": (("v(?:,v)*", "uz"),),
    }.items()
}
_INNERMOST = re.compile(r"([0-9#@oMuv])?\(([^()]*)\)")
_SIZED_TYPE = re.compile(r"C\(n(?:,n)?\)")
_INTERVAL = re.compile(f"i[ns]([{_NAME}{_QUOTED}])")
_CALLED = re.compile(r"v(?=\()")
#: `schema.f(x)`, and `x[0]` or `x['key']`.
_OF_SCHEMA = re.compile(r"(?:v\.){1,2}r")
_SUBSCRIPT = re.compile(r"[vyrx](?:\[[ns]\])+")
#: Behind AS, all but the type of a cast is a name: `select at::date as date from t`.
_TYPE_AS_NAME = re.compile(r"(?<=a)[TC](?![(:)])")
#: What is nested deeper is for the parser, which has a limit of its own.
_MOST_NESTED = 40
#: Where a CTE, a scope or a FROM item begins or ends.
_PLACE = re.compile(
    r"(?P<cte>v)a\(|[FJ](?P<table>v(?:\.v)*)(?:a?(?P<alias>v))?|\)(?:a?(?P<given>v))?|[S(]"
)

# --- the tables --------------------------------------------------------------------------------


def names_of(source: TokenizedText) -> tuple[tuple[Reference, ...], tuple[int, ...]] | None:
    """The tables that a query reads, in the order of the text, and where the names stand of the
    functions in it that the parser does not know.

    None if the text is not of the common form, or if only the tree says what a name in it means.
    """
    letters = _letters(source)
    if letters is None or not _is_common(letters):
        return None
    reading = _TableReading(source)
    for place in _PLACE.finditer(letters):
        reading.go_on(place)
    if reading.is_unsure():
        return None
    calls = (it.start for it, of in zip(source.tokens, letters, strict=True) if of == _UNKNOWN)
    return tuple(reading.tables), tuple(calls)


def _letters(source: TokenizedText) -> str | None:
    """A letter for each token; None if the grammar does not have all of them."""
    tokens = source.tokens
    letters = "".join([_LETTER_OF[token.token_type] for token in tokens])
    if _OTHER in letters or source.prepared != Prepared(tokens):
        return None
    if "$" in letters and any(token.text == "@" for token in tokens):  # a variable or a stage
        return None
    if "[" in letters and source.dialect.name not in CALLS_AND_SUBSCRIPTS:
        return None
    if "9" in letters and source.dialect.name in WITHOUT_REPLACE:
        return None
    if ".9" in letters:  # a function of that name in a schema, which the project may define
        return None
    letters = _TYPE_AS_NAME.sub(_NAME, letters)
    if called := [call.start() for call in _CALLED.finditer(letters)]:
        known = LETTERS_IN.get(source.dialect.name, LETTERS)
        changed = list(letters)
        for at in called:
            name = tokens[at].text.lower()
            if name in known and letters[at - 1 : at] != ".":
                changed[at] = known[name]
            else:
                changed[at] = _UNKNOWN if is_unknown(name, source.dialect.name) else _OTHER
        letters = "".join(changed)
    if _UNKNOWN in letters and any(
        token.token_type == TokenType.STRING and may_name_table(token.text) for token in tokens
    ):
        return None
    for interval in _INTERVAL.finditer(letters):
        # sqlglot takes `interval '1 day' day` for a mistake, and so it is, except as an alias.
        if interval[1] == _QUOTED or not tokens[interval.start() + 1].text.isdigit():
            return None
    names = {token.text for token, letter in zip(tokens, letters, strict=True) if letter in _NAMES}
    lower = {name.lower() for name in names}
    if not WORDS.isdisjoint(lower) or (names != lower and _case_counts(source)):
        return None
    return letters.replace(_QUOTED, _NAME)


def _case_counts(source: TokenizedText) -> bool:
    """Whether the case of a name may be contents. kept_case.py looks into the tree for that."""
    return source.dialect.columns_keep_case or source.dialect.keys_in_result


def _is_common(letters: str) -> bool:
    """Whether tokens of these letters are of the grammar."""
    letters = _SIZED_TYPE.sub("P", letters)
    for _ in range(_MOST_NESTED):
        if "(" not in letters:
            return _WHOLE.fullmatch(_values(letters)) is not None
        letters = _INNERMOST.sub(_closed, letters)
        if _OTHER in letters:
            break
    return False


def _closed(found: re.Match[str]) -> str:
    return _become(found[1] or "", found[2])


@lru_cache(maxsize=4096)  # texts have the same ones again and again
def _become(before: str, inside: str) -> str:
    """The letters for parentheses without any others in them, and for what is before them."""
    short = _values(inside)
    forms = _PARENTHESES.get(before, ())
    return next((letter for form, letter in forms if form.fullmatch(short)), _OTHER)


def _values(letters: str) -> str:
    """The letters, none of which are parentheses, with one for each value."""
    for _ in range(_MOST_NESTED):
        if "c" not in letters or _OTHER in letters:
            break
        letters = _CASE.sub(_case, letters)
    letters = _OF_SCHEMA.sub("r", letters).replace("v.v", "y")
    letters = _SUBSCRIPT.sub("x", letters).replace("$v", "x")
    for step, becomes in _STEPS:
        letters = step.sub(becomes, letters)
    return letters


def _case(found: re.Match[str]) -> str:
    return "f" if _CASE_PARTS.fullmatch(_values(found[1])) else _OTHER


@dataclass(slots=True)
class _SelectNames:
    """A SELECT. ``given``: the names of its FROM items that will stay as they are. ``free``: its
    tables without an alias, by that name."""

    given: set[str] = field(default_factory=set)
    free: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)

    def clashes(self) -> bool:
        """Whether a column may need the schema of its table (see ``scopes.clashing``)."""
        several = any(len(tables) > 1 for tables in self.free.values())
        return several or not self.given.isdisjoint(self.free)


class _TableReading:
    """The scopes of a text, from its beginning to its end, and the tables in them."""

    def __init__(self, source: TokenizedText) -> None:
        self.source, self.dialect = source, source.dialect
        self.tables: list[Reference] = []
        self.scopes = [_SelectNames()]
        self.around = [self.scopes[0]]  #: that of each open parenthesis, and the innermost one
        self.ctes: list[str] = []
        self.visible: set[str] = set()  #: the CTEs that have ended
        self.bare: set[str] = set()  #: names without a schema that are no CTE so far
        self.called: set[str] = set()  #: what FROM items are called
        self.schemas: set[str] = set()  #: the first parts of names with several
        #: Whether a part has a dot in it, which may separate two, or begins as T-SQL's temporary
        #: tables do.
        self.odd = False

    def go_on(self, place: re.Match[str]) -> None:
        letter = place[0][0]
        if letter == "S":
            self.around[-1] = _SelectNames()
            self.scopes.append(self.around[-1])
        elif letter in "FJ":
            self.table(place.start("table"), place.end("table"), place.start("alias"))
        elif letter == ")":
            self.around.pop()
            if len(self.around) == 1:
                self.visible.update(self.ctes[-1:])
            if place["given"]:
                self.give(self.local(place.start("given")))
        else:
            self.around.append(self.around[-1])
            if place["cte"]:
                self.ctes.append(self.local(place.start()))

    def table(self, first: int, end: int, alias: int) -> None:
        """Note the table whose name the tokens from *first* to *end* are. *alias*: the token that
        is its alias, -1 if it has none."""
        dialect, tokens = self.dialect, self.source.tokens
        parts = tuple(map(self.folded, range(first, end, 2)))
        self.odd = self.odd or any("." in part or part[:1] == "#" for part in parts)
        name, outermost = self.local(alias if alias >= 0 else end - 1), dialect.alias(parts[0])
        is_cte = len(parts) == 1 and outermost in self.visible
        if not is_cte:
            (self.schemas if len(parts) > 1 else self.bare).add(outermost)
        quoted = tokens[end - 1].token_type == TokenType.IDENTIFIER
        if is_cte or dialect.is_file(parts, False, quoted) or dialect.is_system(parts):
            self.give(name)
            return
        if alias >= 0:
            self.give(name)
        else:
            self.called.add(name)
            self.around[-1].free.setdefault(name, set()).add(parts)
        start, last = tokens[first].start, tokens[end - 1].end + 1
        line, column = self.source.lines.place(start)
        self.tables.append(Reference(parts, start, last, line, column, aliased=alias >= 0))

    def give(self, name: str) -> None:
        self.called.add(name)
        self.around[-1].given.add(name)

    def local(self, at: int) -> str:
        """The token's name as the prefixes of columns are compared with it."""
        return self.dialect.alias(self.folded(at))

    def folded(self, at: int) -> str:
        token = self.source.tokens[at]
        return self.dialect.fold(token.text, token.token_type == TokenType.IDENTIFIER)

    def is_unsure(self) -> bool:
        """Whether the tree is needed: for columns that may need the schema of a table, for names
        that may mean a CTE around them or below, and for paths as in `from t join t.items`."""
        wide = self.dialect.ctes_in_any_order or self.dialect.always_recursive
        return (
            self.odd
            or any(scope.clashes() for scope in self.scopes)
            or (wide and not self.bare.isdisjoint(self.ctes))
            or not self.called.isdisjoint(self.schemas)
        )
