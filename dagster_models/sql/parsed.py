"""What parse.py finds in a SQL text, as values. Places are offsets in characters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from dagster_models.core.model import Reference


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A column's prefix that names a table with its schema: `staging.stg_flights` in
    `staging.stg_flights.flight_id`.

    ``end`` is exclusive, ``name_start`` is where the last part begins, and ``reference`` is the
    start of the reference that the prefix belongs to.
    """

    start: int
    end: int
    parts: tuple[str, ...]
    name_start: int
    reference: int


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place that a variable's value fills in: a name with its sigil, `$year`, or a literal that a
    comment binds, `/*$year*/ 2013`. ``start`` and ``end`` are those of the name with its sigil, or
    of the literal; ``line`` and ``column`` those of the sigil or of the comment. ``name`` has no
    sigil. ``after_in``: the word IN stands before it, as in `x in $years`."""

    name: str
    start: int
    end: int
    line: int
    column: int
    after_in: bool = False

    def is_bound(self, text: str) -> bool:
        """Whether a literal of the *text* stands here, which a comment binds."""
        return text[self.start + 1 : self.end] != self.name


@dataclass(frozen=True, slots=True)
class ParsedSql:
    """What a text says, in the order of the text.

    ``normalized``: its tokens without comments and white space, with keywords and unquoted names in
    lower case and independent CTEs in one order. Two texts with the same one mean the same.
    ``clashing``: the starts of references that only their schema distinguishes. ``temporary``:
    names of tables that the text creates for the session. ``opaque``: the parser does not know a
    statement of the text (BEGIN ... END, CALL, ...), so tables may hide in it. ``unseen``: (line,
    column, what) of tables that only running the text would reveal
    (`query_table(getvariable('t'))`). ``semicolons``: offsets of the trailing ones. ``suspects``:
    (line, column, function, parts) of names that a function in FROM is given, which may be tables.
    ``calls``: those of functions that the parser does not know.
    """

    references: tuple[Reference, ...]
    qualifiers: tuple[Qualifier, ...]
    placeholders: tuple[Placeholder, ...]
    normalized: str
    clashing: frozenset[int] = frozenset()
    temporary: tuple[str, ...] = ()
    opaque: bool = False
    semicolons: tuple[int, ...] = ()
    unseen: tuple[tuple[int, int, str], ...] = ()
    suspects: tuple[tuple[int, int, str, tuple[str, ...]], ...] = ()
    calls: tuple[Reference, ...] = ()


def _values(of: type) -> Callable[[Any], tuple[Any, ...]]:
    """``dataclasses.astuple``, without its copies, for values that do not hold others."""
    return attrgetter(*(field.name for field in fields(of)))


_of_parsed, _of_reference = _values(ParsedSql), _values(Reference)
_of_qualifier, _of_placeholder = _values(Qualifier), _values(Placeholder)


def plain_parsed(parsed: ParsedSql) -> tuple[Any, ...]:
    """The value as tuples, sets, texts and numbers, in the order of its fields."""
    references, qualifiers, placeholders, *rest, calls = _of_parsed(parsed)
    return (
        tuple(map(_of_reference, references)),
        tuple(map(_of_qualifier, qualifiers)),
        tuple(map(_of_placeholder, placeholders)),
        *rest,
        tuple(map(_of_reference, calls)),
    )


def parsed_of(plain: tuple[Any, ...]) -> ParsedSql:
    """The value that ``plain_parsed`` turned into *plain*. Raises anything for something else."""
    references, qualifiers, placeholders, *rest, calls = plain
    rest.append(tuple(Reference(*call) for call in calls))
    return ParsedSql(
        tuple(Reference(*reference) for reference in references),
        tuple(Qualifier(*qualifier) for qualifier in qualifiers),
        tuple(Placeholder(*placeholder) for placeholder in placeholders),
        *rest,
    )
