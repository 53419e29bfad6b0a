"""The text for the warehouse: names and placeholders are replaced where they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dagster_models.core.model import Reference
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.parsed import ParsedSql, Placeholder
from dagster_models.util.positions import Lines

#: A text that all dialects write between single quotes, and a name that all write between theirs.
_PLAIN_TEXT = re.compile(r"[ !#$%&()*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z{|}~\"]*")
_PLAIN_NAME = re.compile(r"[ A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class PlainSql:
    """A variable whose value is SQL, which is filled in as it stands. ``typed``: the words of a
    literal that is bound to it -> its value of that type."""

    text: str
    typed: Mapping[str, str] = field(default_factory=dict)

    def in_place_of(self, written: str) -> str:
        words = " ".join(written.partition("'")[0].lower().split())
        return self.typed.get(words, self.text)


def compile_sql(
    text: str,
    parsed: ParsedSql,
    dialect: str,
    relation_of: Callable[[Reference], str | None],
    variables: Mapping[str, object],
    *,
    literals: str = "",
    function_of: Callable[[Reference], str | None] = lambda call: None,
    cut: Sequence[slice] = (),
) -> str:
    """Return the text for the warehouse: table names and placeholders are replaced, and nothing
    else changes but that trailing semicolons are dropped.

    A reference without an alias gets its old name as one where the new name ends differently, so
    that columns qualified by it still work. Columns that are qualified with the schema lose it.

    Args:
        relation_of: the full, quoted name of what a reference means, None to leave it as it is.
        variables: the values of placeholders.
        literals: the dialect in which values and names are written; "" is *dialect*.
        function_of: the full, quoted name of a function that is called, None to leave it.
        cut: what else is left out.

    Raises:
        SqlSyntaxError: a placeholder has no variable.
        TypeError: a variable has no literal.
    """
    edits: list[tuple[int, int, str]] = []
    words = literals or dialect
    renamed: dict[int, str | None] = {}
    for reference in parsed.references:
        relation = relation_of(reference)
        if relation is None:
            continue
        alias = _alias(reference, relation, reference.start in parsed.clashing, dialect, words)
        renamed[reference.start] = alias if reference.start in parsed.clashing else None
        replaced = f"{relation} AS {alias}" if alias else relation
        if reference.in_string:
            replaced = replaced.replace("'", "''")
        edits.append((reference.start, reference.end, replaced))
    for call in parsed.calls:
        if (function := function_of(call)) is not None:
            edits.append((call.start, call.end, function))
    for qualifier in parsed.qualifiers:
        if qualifier.reference in renamed:
            name = renamed[qualifier.reference] or text[qualifier.name_start : qualifier.end]
            if name.lower() in _reserved(dialect):  # `raw.order.id` needed no quotes
                name = quote(qualifier.parts[-1], words)
            edits.append((qualifier.start, qualifier.end, name))
    for placeholder in parsed.placeholders:
        edits.append(_filled(text, placeholder, variables, words))
    edits += [(at, at + 1, "") for at in parsed.semicolons]
    edits += [(place.start, place.stop, "") for place in cut]
    return _edited(text, edits)


def literal(value: Any, dialect: str) -> str:
    """Return a value as SQL: None, bool, int, float, Decimal, str, date, datetime, lists of these.

    A list becomes an array, as a parameter of the dialect would be: `x = any($list)`. Raises
    TypeError for anything else.
    """
    if isinstance(value, str) and _PLAIN_TEXT.fullmatch(value):
        return f"'{value}'"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (list, tuple)) and not value and dialect_of(dialect).empty_list:
        return dialect_of(dialect).empty_list
    from dagster_models.sql.written import literal as written

    return written(value, dialect)


def nested_literal(value: Any, dialect: str) -> str:
    """Return a list or a mapping, and what they hold, as a literal of a dialect that has these
    (``Dialect.nested_literals``). Raises TypeError."""
    from dagster_models.sql.written import nested_literal as written

    return written(value, dialect)


@lru_cache(maxsize=4096)  # each step asks for those of its own and of what it reads
def quote(identifier: str, dialect: str) -> str:
    """Return a quoted identifier. Raises ValueError if it is empty or has a NUL character."""
    if not identifier or "\0" in identifier:
        raise ValueError(f"{identifier!r} cannot be the name of a table or column")
    if _PLAIN_NAME.fullmatch(identifier):
        quotes = dialect_of(dialect).quotes
        return f"{quotes[0]}{identifier}{quotes[1]}"
    from dagster_models.sql.written import quote as written

    return written(identifier, dialect)


def _alias(
    reference: Reference, relation: str, clashes: bool, dialect: str, words: str
) -> str | None:
    """The alias, quoted in the dialect *words*, that keeps the old name usable; None where it is
    not needed or allowed."""
    if reference.aliased:
        return None
    if clashes:
        return quote(reference.name, words)
    old = reference.parts[-1]
    return None if _last_part(relation, dialect, words) == old else quote(old, words)


def _last_part(relation: str, dialect: str, words: str) -> str | None:
    """The folded last part of a dotted name; None for other SQL, such as a call of a function."""
    if (simple := _quoted_names(words).fullmatch(relation)) is not None:
        return dialect_of(dialect).fold(simple[1], quoted=True)
    from dagster_models.sql.written import last_part

    found = last_part(relation, words)
    return None if found is None else dialect_of(dialect).fold(*found)


@lru_cache
def _quoted_names(dialect: str) -> re.Pattern[str]:
    """A dotted name as ``quote`` writes it, where no part needs an escape. The last part is a
    group. sqlglot's tokenizer takes longer for such a name than all else that a step is made of."""
    opening, *_, closing = map(re.escape, quote("x", dialect))
    plain = rf"[^{closing}\\]+"
    return re.compile(rf"(?:{opening}{plain}{closing}\.)*{opening}({plain}){closing}")


def _reserved(dialect: str) -> Collection[str]:
    """Words that are only names in quotes."""
    from dagster_models.sql.written import reserved

    return reserved(dialect_of(dialect).reserved_words_of or dialect)


def _filled(
    text: str, placeholder: Placeholder, variables: Mapping[str, object], dialect: str
) -> tuple[int, int, str]:
    start, end, name = placeholder.start, placeholder.end, placeholder.name
    written = text[start:end]
    is_bound = placeholder.is_bound(text)
    if name not in variables:
        known = ", ".join(sorted(variables)) or "none"
        raise SqlSyntaxError(
            f"the placeholder {f'/*${name}*/' if is_bound else written} has no variable",
            placeholder.line,
            placeholder.column,
            f"Set {name} in `vars:`. Known variables: {known}.",
        )
    value = variables[name]
    if isinstance(value, PlainSql):
        return start, end, value.in_place_of(written) if is_bound else value.text
    try:
        if is_bound:
            return start, end, _in_place_of(written, value, dialect)
        if placeholder.after_in and not dialect_of(dialect).arrays_follow_in:
            return start, end, _behind_in(value, dialect)
    except ValueError as error:
        behind = f"/*${name}*/" if is_bound else "IN"
        raise SqlSyntaxError(
            f"the variable {name} does not fit behind {behind}: {error}",
            placeholder.line,
            placeholder.column,
        ) from None
    return start, end, _operand(literal(value, dialect))


def _behind_in(value: object, dialect: str) -> str:
    """The value as the right side of IN: a list in parentheses. Raises ValueError for an empty one,
    which SQL cannot write there."""
    if not isinstance(value, (list, tuple)):
        return _operand(literal(value, dialect))
    if not value:
        raise ValueError("it is an empty list, which SQL cannot write as `in (...)`")
    return f"({', '.join(literal(item, dialect) for item in value)})"


def _in_place_of(written: str, value: object, dialect: str) -> str:
    """The value as SQL of the same form as the literal *written*: one value, `(1, 2)` or `[1, 2]`.

    A text takes the type of a typed literal: for `date '2020-01-01'` it becomes `date '...'`.
    Raises ValueError if the value has another form.
    """
    is_list = isinstance(value, (list, tuple))
    if is_list != (written[0] in "([" or written[:5].lower() == "array"):
        forms = ("one value", "a list")
        raise ValueError(f"it is {forms[is_list]}, and the literal is {forms[not is_list]}")
    if written.startswith("("):
        return _behind_in(value, dialect)
    opening, closing = written.find("'"), written.rfind("'")
    if isinstance(value, str) and opening > 0:
        return written[:opening] + literal(value, dialect) + written[closing + 1 :]
    return _operand(literal(value, dialect))


def _operand(value: str) -> str:
    return f"({value})" if value.startswith("-") else value  # x-$y must not become x--1, a comment


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    pieces = []
    done = 0
    for start, end, replacement in sorted(edits):
        if start < done:
            line, column = Lines(text).place(start)
            raise SqlSyntaxError("two names overlap here", line, column, "Write them apart.")
        pieces += [text[done:start], replacement]
        done = end
    return "".join([*pieces, text[done:]])
