"""The value of `$since` where a session is not ``Hooks``: what such warehouses share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.model import Relation
from dagster_models.core.since import lookback_misfit
from dagster_models.core.stand_ins import SINCE
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.materializations.columns import columns_named, columns_of_table
from dagster_models.warehouses.materializations.hooks import Asking


@dataclass(frozen=True, slots=True)
class SinceWords:
    """How a warehouse writes a value as a literal of its column's type, and asks for its text.

    ``words``: type -> what stands before a text in its literal; ``other``: (text, type) -> the
    literal of any other type. ``smallest``: type -> what is less than, or equal to, every value of
    it, None where nothing is. Types are plain: ``decimal`` of decimal(9,2), but for ``other``.
    ``cast`` gives an expression the column's type again, after a subtraction. ``interval`` is a
    ``Since.lookback`` that is one.
    """

    words: Mapping[str, str]
    other: Callable[[str, str], str]
    smallest: Callable[[str], str | None]
    literal: Callable[[str], str]
    text_type: str
    cast: Callable[[str, str], str]
    interval: Callable[[str], str] = str

    def typed(self, text: str, type_: str) -> str:
        word = self.words.get(plain(type_))
        return f"{word} {self.literal(text)}" if word else self.other(text, type_)


def plain(type_: str) -> str:
    """The type without its digits."""
    head, _, rest = type_.lower().partition("(")
    return f"{head}{rest.partition(')')[2]}"


def value_of_since(
    session: Asking,
    relation: Relation,
    how: Incremental,
    query: str,
    words: SinceWords,
    *,
    whole: bool,
) -> str | None:
    """The value as SQL; None if the model has none, or none is known before a first build.

    ``query`` is "" for a Python model.
    """
    since = how.since
    if since is None:
        return None
    if whole:
        if since.begin or not query or SINCE not in query:
            return since.begin or None
        columns = session.query_columns(query.replace(SINCE, "NULL"))
        (name,) = columns_named(columns, [since.column], of="since: the query")
        return _smallest(since, dict(columns)[name], words)
    there = session.columns(relation)
    (name,) = columns_of_table(there, relation, [since.column], "since")
    type_ = dict(there)[name]
    if why := lookback_misfit(since.lookback, type_):
        raise WarehouseError(
            ErrorKind.INVALID_INPUT,
            f"`lookback` does not fit the column `{name}`, whose type is {type_}: {why}. Nothing"
            " was changed",
            name="BadLookback",
        )
    counts = since.lookback.isdecimal() and type_ != "date"
    lookback = ""
    if since.lookback and not counts:
        lookback = f" - {words.interval(since.lookback)}"
    newest = words.cast(f"max({session.quote(name)}){lookback}", type_)
    text = session.rows(
        f"SELECT CAST({newest} AS {words.text_type}) FROM {session.quoted(relation)}"
    )[0][0]
    if text is None:
        return since.begin or _smallest(since, type_, words)
    return str(Decimal(text) - int(since.lookback)) if counts else words.typed(text, type_)


def _smallest(since: Since, type_: str, words: SinceWords) -> str:
    found = words.smallest(plain(type_))
    if found is not None:
        return found
    raise WarehouseError(
        ErrorKind.INVALID_INPUT,
        f"there is no smallest value of `{since.column}` ({type_}) with which the first build could"
        " begin: write it, `since: {column: ..., begin: ...}`",
        name="NoFirstValue",
    )
