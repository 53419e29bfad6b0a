"""A SQL text as sqlglot's tokens: where names, placeholders and mistakes stand in it."""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain, takewhile
from typing import Any

from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from dagster_models.errors import SqlSyntaxError, UnreadableSql
from dagster_models.sql.bind_comments import bind_comments
from dagster_models.sql.canonical import canonical_words
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.executed_comments import opened
from dagster_models.sql.literals import layout, sqlglot_dialect
from dagster_models.sql.parsed import Placeholder
from dagster_models.sql.rewriting.prepare import prepare
from dagster_models.sql.rewriting.token_rewriter import TEXTS, Prepared
from dagster_models.util.positions import Lines

_FIX = (
    "Correct it. If the warehouse takes it as it is, set `unreadable_sql: warn` in"
    " dagster_models.yaml (docs/references.md)."
)
_OPERANDS = {
    TokenType.VAR,
    TokenType.IDENTIFIER,
    TokenType.NUMBER,
    TokenType.STRING,
    TokenType.R_PAREN,
    TokenType.R_BRACKET,
}
_OPENS = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSES = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_OPENS_BRACKET = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSES_BRACKET = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_OPENING_WORDS = ("(", "[", "{", "CASE")  #: of _OPENS
_MOST_NESTED = 400
_OPENINGS = ("'", '"', "`", "/*", "$$")
#: A closed string, name or comment, or else one character (in the group) that may open one.
_PIECE = re.compile(
    r"""'(?:[^']|'')*'(?!')|"(?:[^"]|"")*"(?!")|`[^`]*`|--[^\n]*|/\*.*?\*/|(?:\$\$).*?\$\$"""
    r"""|[^'"`$/-]+|(.)""",
    re.DOTALL,
)
_QUOTED = {TokenType.IDENTIFIER, *TEXTS}
_QUOTE = re.compile(r"""['"`$\[]""")
_NAME = re.compile(r"[^\W\d]\w*|\d+")


class _Quiet(logging.Filter):
    """Keeps sqlglot from logging "contains unsupported syntax", as the result says so.

    A filter sees the records of every thread, so it holds back that one message only.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return "Falling back to parsing as a 'Command'" not in record.getMessage()


logging.getLogger("sqlglot").addFilter(_Quiet())


class TokenizedText:
    """A text and its tokens. Raises SqlSyntaxError for a text that has none, and ValueError for a
    dialect that sqlglot does not know."""

    def __init__(self, text: str, dialect: str) -> None:
        self.text, self.dialect = text, dialect_of(dialect)
        self.parser, self.lines = sqlglot_dialect(dialect), Lines(text)
        if (nul := text.find("\0")) >= 0:
            # DuckDB and PostgreSQL run what stands before it, and do not say so.
            what = "there is a NUL character, at which a warehouse ends the text"
            call = self.dialect.nul_character
            raise self.error(what, nul, f"Delete it, or write {call}." if call else "Delete it.")
        if self.dialect.executes_comments:
            text = opened(text)  # of the same length
        try:
            self.tokens: list[Token] = layout(text, dialect).tokens
            blanks = None if text.isascii() else self.dialect.zero_width
            if blanks is not None and blanks.search(text):
                self.tokens = layout(_blanked(text, self.tokens, blanks), dialect).tokens
        except SqlSyntaxError:
            raise self.unclosed() from None
        self._opened = text
        self._trees: list[exp.Expr] | None = None

    @cached_property
    def prepared(self) -> Prepared:
        """What the parser gets: the same tokens, except where its grammar is narrower."""
        return prepare(self._opened, self.tokens, self.dialect.tokens(), self.parser.tokenize)

    @cached_property
    def prepared_at(self) -> dict[int, int] | None:
        """Offset -> index of the parser's tokens, where they differ from those of the text. It is
        asked for once the text is parsed."""
        if self.prepared.tokens is self.tokens:
            return None
        return {token.start: i for i, token in enumerate(self.prepared.tokens)}

    def at(self, start: int) -> int | None:
        """The index of the token that begins there."""
        index = bisect_right(self.tokens, start, key=_start) - 1
        return index if index >= 0 and self.tokens[index].start == start else None

    def error(self, what: str, offset: int, fix: str = "") -> SqlSyntaxError:
        line, column = self.lines.place(offset)
        return SqlSyntaxError(what, line, column, fix)

    def unreadable(self, what: str, offset: int, fix: str = "") -> UnreadableSql:
        line, column = self.lines.place(offset)
        return UnreadableSql(what, line, column, fix)

    def unclosed(self) -> SqlSyntaxError:
        """The error for a text without tokens. The tokenizer does not say where it begins."""
        pieces = _PIECE.finditer(self.text)
        starts = (m.start() for m in pieces if self.text.startswith(_OPENINGS, m.start()) and m[1])
        return self.error(
            "a string, a quoted name or a comment is not closed",
            next(starts, 0),
            "Close it, or double the quote that is meant as a character.",
        )

    def statements(self) -> list[exp.Expr]:
        """The syntax trees of the text's statements. The text is parsed once."""
        if self._trees is not None:
            return self._trees
        if (deep := self._too_deep()) is not None:
            raise self.error("the SQL is nested too deeply to be read", deep)
        try:
            trees = self._parse()
        except ParseError as error:
            raise self.unparsed(error) from None
        except RecursionError:
            raise self.error("the SQL is nested too deeply to be read", 0) from None
        except SqlglotError as error:
            raise self.error(str(error), 0) from None
        except Exception as error:  # a failure of the parser is not the project's mistake
            what = f"this SQL cannot be read: the parser failed ({type(error).__name__}: {error})"
            raise self.unreadable(what, self.tokens[0].start if self.tokens else 0) from error
        found = [tree for tree in trees if tree is not None]
        self._trees = [tree for tree in found if not isinstance(tree, exp.Semicolon)]
        return self._trees

    def _parse(self) -> list[exp.Expr | None]:
        try:
            return self.parser.parser().parse(self.prepared.tokens, self.text)
        except (
            ParseError,
            TypeError,
        ):  # it raises one or the other for an operator that it does not know
            wider = prepare(
                self.text, self.tokens, self.dialect.tokens(), self.parser.tokenize, wider=True
            )
            if _forms(wider.tokens) == _forms(self.prepared.tokens):
                raise
            self.prepared = wider
            return self.parser.parser().parse(self.prepared.tokens, self.text)

    def _too_deep(self) -> int | None:
        """The offset where the text nests deeper than any query does, None if it does not.

        sqlglot's parser recurses. Its compiled build does so in C, where a stack that runs out ends
        the process (seen with Python 3.13 at 30,000 parentheses).
        """
        upper = self.text.upper()
        if sum(map(upper.count, _OPENING_WORDS)) <= _MOST_NESTED:  # nearly every text
            return None
        depth = 0
        for token in self.tokens:
            depth += (token.token_type in _OPENS) - (token.token_type in _CLOSES)
            if depth > _MOST_NESTED:
                return token.start
        return None

    def unparsed(self, error: ParseError) -> UnreadableSql:
        details: Mapping[str, Any] = error.errors[0] if error.errors else {}
        what = str(details.get("description") or error).splitlines()[0]
        what = re.sub(r"<Token .*?text: (.*?), line: .*>", r"'\1'", what).rstrip(".")
        what = re.sub(
            r"Required keyword: '\w+' missing for <class .*>", "something is missing", what
        )
        # sqlglot's lines and columns are wrong after some comments. A token has the same wrong
        # ones, so they lead to the token.
        place = (details.get("line"), details.get("col"))
        offset = next((t.start for t in self.tokens if (t.line, t.col) == place), 0)
        return self.unreadable(f"this SQL cannot be read: {what}", offset, _FIX)

    def word(self, word: str) -> int:
        return next((t.start for t in self.tokens if t.text.upper() == word), 0)

    def call(self, name: str) -> int:
        """Where the function of that name is called first, or the type of that name is written."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        calls = (t.start for t, after in pairs if t.text == name and after.text == "(")
        types = (t.start for t in self.tokens if t.text.lower() == name.lower())
        return next(chain(calls, types), 0)

    def is_string(self, identifier: exp.Expr) -> bool:
        index = self.at(identifier.meta.get("start", -1))
        return index is not None and self.tokens[index].token_type == TokenType.STRING

    def is_table_statement(self, start: int) -> bool:
        """Whether it is `TABLE orders`, a query that takes no alias."""
        before = (self.at(start) or 0) - 1
        return before >= 0 and self.tokens[before].token_type == TokenType.TABLE

    def span(self, identifiers: Sequence[exp.Expr]) -> tuple[int, int, int]:
        """(start, end, start of the last part) of a dotted name, checked against the text."""
        wanted = ".".join(identifier.name for identifier in identifiers)
        metas = [identifier.meta for identifier in identifiers]
        if not all("start" in meta and "end" in meta for meta in metas):
            raise self.unreadable(
                f"the place of the name {wanted} in the text cannot be found", 0, _FIX
            )
        starts = [int(meta["start"]) for meta in metas]
        start, end = min(starts), max(int(meta["end"]) for meta in metas) + 1
        written = ""
        tokens = self.prepared.tokens
        at = self.at(start) if self.prepared_at is None else self.prepared_at.get(start)
        index = len(tokens) if at is None else at
        while index < len(tokens) and start <= tokens[index].start and tokens[index].end < end:
            written += tokens[index].text
            index += 1
        # `db..t`: the schema between the dots is the default one
        if (
            written.replace("..", ".") != wanted.replace("..", ".")
            or tokens[index - 1].end + 1 != end
        ):
            raise self.unreadable(
                f"the place of the name {wanted} in the text cannot be found", start, _FIX
            )
        return start, end, starts[-1]

    def behind_star(self, end: int) -> int:
        """Where the `*` ends that follows a table's name, which ends at *end*; else *end*."""
        index = bisect_right(self.tokens, end - 1, key=_start)
        star = self.tokens[index] if index < len(self.tokens) else None
        return star.end + 1 if star and star.token_type == TokenType.STAR else end

    def placeholders(self) -> list[Placeholder]:
        found = [*self.bound_placeholders(), *self.marked_placeholders()]
        return sorted(found, key=lambda placeholder: placeholder.start)

    def bound_placeholders(self) -> list[Placeholder]:
        """The literals that a comment binds. Raises SqlSyntaxError if a comment has none."""
        result = []
        for bound in bind_comments(self.text, self.tokens):
            if bound.last < bound.first:
                raise self.error(
                    f"no literal follows /*${bound.name}*/",
                    bound.start,
                    "Write one after it, which an editor runs and the variable replaces: a number,"
                    " a text, a date '...', a timestamp '...', or a list of these.",
                )
            start, end = self.tokens[bound.first].start, self.tokens[bound.last].end + 1
            place = self.lines.place(bound.start)
            result.append(Placeholder(bound.name, start, end, *place))
        return result

    def marked_placeholders(self) -> list[Placeholder]:
        """The names with a sigil, `$year`."""
        marks = tuple(self.dialect.placeholder_marks)
        if not any(mark in self.text for mark in marks):
            return []
        brackets: list[bool] = []  # for each open bracket: is it a subscript?
        result = []
        for index, token in enumerate(self.tokens):
            kind = token.token_type
            if kind in _OPENS_BRACKET:
                before = self.tokens[index - 1] if index and kind == TokenType.L_BRACKET else None
                brackets.append(before is not None and before.token_type != TokenType.ARRAY)
            elif kind in _CLOSES_BRACKET:
                if brackets:
                    brackets.pop()
            elif kind in _QUOTED:  # `'$'as x`
                continue
            elif token.text in marks and self.is_sigil(index, bool(brackets) and brackets[-1]):
                name = self.tokens[index + 1]
                line, column = self.lines.place(token.start)
                text = self.text[name.start : name.end + 1]
                after_in = index > 0 and self.tokens[index - 1].token_type == TokenType.IN
                end = name.end + 1
                result.append(Placeholder(text, token.start, end, line, column, after_in))
        return result

    def is_sigil(self, index: int, in_subscript: bool) -> bool:
        token = self.tokens[index]
        if index + 1 == len(self.tokens):
            return False
        name = self.tokens[index + 1]
        if token.end + 1 != name.start or not _NAME.fullmatch(self.text[name.start : name.end + 1]):
            return False
        before = self.tokens[index - 1] if index else None
        if before is None or token.text != ":":
            # @@x is a system variable, t.$1 a column of a Snowflake stage, and t.$x the column that
            # a check is given.
            apart = {"@", "."} if self.text[name.start].isdigit() else {"@"}
            return before is None or before.end + 1 != token.start or before.text not in apart
        # a[1:x] is a slice, t.doc:x a path into JSON
        touches = before.end + 1 == token.start and self.text[before.end].isalnum()
        return not in_subscript and not touches and before.token_type not in _OPERANDS

    def words(self, kept: Iterable[int] = ()) -> list[str]:
        """Each token without the case that makes no difference. ``kept``: the indexes of words
        whose case is contents."""
        keeps, text = self.dialect.names_have_case, self.text
        written = [text[token.start : token.end + 1] for token in self.tokens]
        words = [_folded(word) for word in written]
        if keeps:
            for index, token in enumerate(self.tokens):
                if token.token_type == TokenType.VAR:
                    words[index] = written[index]
        for index in kept:
            words[index] = written[index]
        return words

    def normalized(self, kept: Iterable[int] = ()) -> str:
        """The canonical form of the words."""
        words = self.words(kept)
        for bound in reversed([*bind_comments(self.text, self.tokens)]):
            # The variable's value takes the literal's place.
            words[bound.first : bound.last + 1] = [f"${bound.name}"]
        while words and words[-1] == ";":
            words.pop()
        return " ".join(canonical_words(words))

    def plain(self) -> str:
        """The tokens as they are written, with one blank between them."""
        words = [self.text[token.start : token.end + 1] for token in self.tokens]
        while words and words[-1] == ";":
            words.pop()
        # `group   by` is one token
        return " ".join(w if _QUOTE.search(w) else " ".join(w.split()) for w in words)

    def trailing_semicolons(self) -> tuple[int, ...]:
        ends = takewhile(_is_semicolon, reversed(self.tokens))
        return tuple(sorted(token.start for token in ends))


def second_statement(source: TokenizedText) -> int:
    """Where the second of a text's statements begins, 0 if there is none."""
    ended = False
    for token in source.tokens:
        if _is_semicolon(token):
            ended = True
        elif ended:
            return int(token.start)
    return 0


def _blanked(text: str, tokens: Sequence[Token], zero_width: re.Pattern[str]) -> str:
    """The text with as many blanks in place of what *zero_width* finds outside of quotes."""
    pieces, done = [], 0
    for token in tokens:
        if token.token_type not in _QUOTED:
            written = text[token.start : token.end + 1]
            pieces += [text[done : token.start], zero_width.sub(" ", written)]
            done = token.end + 1
    return "".join([*pieces, text[done:]])


@lru_cache(maxsize=4096)  # texts say the same words again and again
def _folded(written: str) -> str:
    """A token in lower case and with single blanks, if it has no quotes."""
    if not (written[:1].isalnum() or written[:1] == "_") or written[-1:] in "'\"":
        return written
    lower = written.lower()
    return lower if lower.isalnum() else " ".join(lower.split())  # `group   by` is one token


def _forms(tokens: Sequence[Token]) -> list[tuple[TokenType, str]]:
    return [(token.token_type, token.text) for token in tokens]


def _start(token: Token) -> int:
    return int(token.start)


def _is_semicolon(token: Token) -> bool:
    return token.token_type == TokenType.SEMICOLON
