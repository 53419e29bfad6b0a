"""What a token rule reads and writes: the tokens of a text, and those that the parser gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlglot import Token, TokenType

NAMES = {TokenType.VAR, TokenType.IDENTIFIER}
TEXTS = {TokenType.STRING, TokenType.HEREDOC_STRING, TokenType.RAW_STRING}
#: A query may begin behind one of these.
SET_WORDS = {
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT),
    *(TokenType.ALL, TokenType.DISTINCT, TokenType.L_PAREN, TokenType.SEMICOLON),
}
WORD = re.compile(r"[^\W\d]\w*$")
_FROM = {TokenType.FROM, TokenType.JOIN, TokenType.STRAIGHT_JOIN}
#: What a comma may belong to. (ON and USING are parts of a FROM list.)
_CLAUSES = {
    *_FROM,
    *(TokenType.SELECT, TokenType.WHERE, TokenType.GROUP_BY, TokenType.HAVING, TokenType.QUALIFY),
    *(TokenType.WINDOW, TokenType.ORDER_BY, TokenType.WITH, TokenType.SET, TokenType.RETURNING),
}
_OPENS = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSES = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
#: A parenthesis behind one of these does not open a list of arguments.
_NO_CALL = {
    *(TokenType.IN, TokenType.ANY, TokenType.ALL, TokenType.SOME, TokenType.EXISTS),
    *(TokenType.ALIAS, TokenType.FROM, TokenType.JOIN, TokenType.USING, TokenType.LATERAL),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.WHERE, TokenType.AND),
    *(TokenType.OR, TokenType.NOT, TokenType.ON, TokenType.SELECT, TokenType.VALUES),
    *(TokenType.TABLE, TokenType.OVER, TokenType.DISTINCT, TokenType.WITH),
}


@dataclass(slots=True)
class Prepared:
    """The tokens for the parser, and what the rules found out on the way.

    ``tables``: where names begin that are arguments of a function and tables (`f(table t)`).
    ``fixed``: where names begin that cannot be given an alias. ``in_strings``: where names begin
    that stand in a string. ``unseen``: (offset, what) of tables that only running would reveal.
    ``joined``: the names that PostgreSQL's `using (id) as j` gives to joined columns, folded.
    """

    tokens: list[Token] = field(default_factory=list)
    tables: set[int] = field(default_factory=set)
    fixed: set[int] = field(default_factory=set)
    in_strings: set[int] = field(default_factory=set)
    unseen: list[tuple[int, str]] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)


class TokenRewriter:
    """One pass over the tokens of a text. ``opened``: the token before each open parenthesis."""

    def __init__(
        self,
        text: str,
        tokens: list[Token],
        tokenize: Callable[[str], list[Token]],
        prepare: Callable[[str, list[Token]], Prepared],
    ) -> None:
        self.text, self.tokens, self.tokenize = text, tokens, tokenize
        self.prepare = prepare  #: for a text inside the text
        self.result = Prepared()
        self.opened: list[Token | None] = []
        self.closed: Token | None = None  #: the token before the parenthesis that was just closed
        self.before: Token | None = None
        self.braces = 0
        self.closings: list[int] = []  #: the tokens before which a parenthesis must be closed
        self.names_in_texts: set[int] = set()  #: the tokens that are texts and name tables

    def kind(self, index: int) -> TokenType | None:
        return self.tokens[index].token_type if 0 <= index < len(self.tokens) else None

    def word(self, index: int) -> str:
        return self.tokens[index].text.lower() if 0 <= index < len(self.tokens) else ""

    def touch(self, index: int, following: int, kind: TokenType) -> bool:
        """Whether the token at *following* is a *kind* and stands right behind the one before."""
        if index < 0 or self.kind(following) != kind:
            return False
        return self.tokens[index].end + 1 == self.tokens[following].start

    def in_call(self) -> bool:
        """Whether the innermost parenthesis is a function's."""
        caller = self.opened[-1] if self.opened else None
        return (
            caller is not None
            and caller.token_type not in _NO_CALL
            and (caller.token_type in NAMES or WORD.match(caller.text) is not None)
        )

    def in_from(self, index: int) -> bool:
        """Whether an item of a FROM list may begin at *index*."""
        if self.kind(index - 1) != TokenType.COMMA:
            return self.kind(index - 1) in _FROM
        depth = 0
        for at in range(index - 2, -1, -1):
            kind = self.tokens[at].token_type
            depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
            if depth < 0:
                return False
            if not depth and kind in _CLAUSES:
                return kind in _FROM
        return False

    def arguments(self, opening: int) -> list[tuple[int, int]]:
        """The first and the last index but one of each argument behind the parenthesis there."""
        found, begin, depth = [], opening + 1, 0
        for at in range(opening, self.closing(opening) + 1):
            kind = self.tokens[at].token_type
            depth += (kind in _OPENS) - (kind in _CLOSES)
            if (kind == TokenType.COMMA and depth == 1) or (not depth and at > begin):
                found.append((begin, at))
                begin = at + 1
        return found

    def name_end(self, index: int) -> int:
        """The index after the dotted name at *index*; *index* itself if there is none."""
        end = index
        while self.kind(end) in NAMES or (end > index and WORD.match(self.word(end))):
            if self.kind(end + 1) != TokenType.DOT:
                return end + 1
            end += 2
        return index

    def closing(self, index: int) -> int:
        return closing(self.tokens, index)

    def copy(self, start: int, end: int) -> None:
        """Take the tokens from *start* to *end* as they are, and close what ends among them."""
        step = 1 if self.closings else max(end - start, 1)
        for at in range(start, end, step):
            self.close(at)
            self.result.tokens += self.tokens[at : at + step]
            self.passed(at, at + step)

    def passed(self, start: int, end: int) -> None:
        """Note the parentheses of the tokens from *start* to *end*."""
        before, opened = self.before, self.opened
        for token in self.tokens[start:end]:
            kind = token.token_type
            if kind == TokenType.L_PAREN:
                opened.append(before)
            elif kind == TokenType.R_PAREN:
                self.closed = opened.pop() if opened else None
            before = token
        self.before = before

    def close(self, index: int) -> None:
        """Close the parentheses that a rule has opened up to the token at *index*."""
        while self.closings and self.closings[-1] == index:
            self.closings.pop()
            self.emit(self.tokens[index - 1], (TokenType.R_PAREN, ")"))

    def emit(self, like: Token, *words: tuple[TokenType, str]) -> None:
        self.result.tokens += [
            token_like(like, kind, text, like.start, like.end) for kind, text in words
        ]

    def name_of(self, content: str) -> list[tuple[TokenType, str]] | None:
        """The tokens of the dotted name that a string holds; None if it holds anything else."""
        try:
            tokens = self.tokenize(content)
        except Exception:  # a string may hold any text
            return None
        odd = [token.token_type in NAMES or WORD.match(token.text) for token in tokens[::2]]
        dots = all(token.token_type == TokenType.DOT for token in tokens[1::2])
        if len(tokens) % 2 == 0 or not all(odd) or not dots:
            return None
        kinds = {TokenType.IDENTIFIER: TokenType.IDENTIFIER, TokenType.DOT: TokenType.DOT}
        return [(kinds.get(token.token_type, TokenType.VAR), token.text) for token in tokens]

    def emit_at(self, kind: TokenType, text: str, start: int) -> None:
        """Emit a token that the text holds as it is."""
        like = self.before or self.tokens[0]
        self.result.tokens.append(token_like(like, kind, text, start, start + len(text) - 1))

    def emit_name(self, name: Sequence[tuple[TokenType, str]], start: int, end: int) -> None:
        """Emit the tokens of a name that replaces the text from *start* to *end* (inclusive)."""
        for place, (kind, text) in enumerate(name):
            last = place == len(name) - 1
            at = start + place
            like = self.before or self.tokens[0]
            self.result.tokens.append(token_like(like, kind, text, at, end if last else at))

    def content(self, token: Token) -> int | None:
        """Where the content of a string begins in the text; None if it has escapes."""
        written = self.text[token.start : token.end + 1]
        before = written.find(token.text) if token.text else -1
        if before < 1 or len(written) != len(token.text) + 2 * before:
            return None
        return token.start + before


Rule: TypeAlias = Callable[[TokenRewriter, int], int]
"""Looks at the token at an index and returns how many tokens it has replaced, 0 for none."""


def _nowhere(text: str, tokens: Sequence[Token]) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The token rules of a dialect.

    ``by_words``: rule -> words in lower case; a text that holds none of them is not affected by
    the rule. ``at_words``: the same of rules that look at tokens which are one of these words,
    whatever the case, and at no others. ``placed``: rules that look at no tokens but those whose
    indexes ``places`` yields. ``wider``: rules for texts that the parser has refused.
    """

    by_words: Mapping[Rule, tuple[str, ...]] = field(default_factory=dict)
    at_words: Mapping[Rule, tuple[str, ...]] = field(default_factory=dict)
    wider: tuple[Rule, ...] = ()
    placed: tuple[Rule, ...] = ()
    places: Callable[[str, Sequence[Token]], Iterable[int]] = _nowhere


NO_TOKEN_RULES = TokenRules()


def closing(tokens: Sequence[Token], index: int) -> int:
    """The index of the parenthesis that closes the one at *index*; the last token's if none."""
    depth = 0
    for at in range(index, len(tokens)):
        kind = tokens[at].token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if not depth:
            return at
    return len(tokens) - 1


def token_like(like: Token, kind: TokenType, text: str, start: int, end: int) -> Token:
    return Token(kind, text, line=like.line, col=like.col, start=start, end=end, comments=[])
