"""How each warehouse writes a value as text, in SQL: what exact comparisons rest on.

A comparison of two types casts one of them, and a cast may lose what is compared. Two texts of one
form are equal only if the values are (see compilation/checks/accepted_values.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ValueForms:
    """How a warehouse writes the value of ``value_field`` as text, in SQL.

    ``is_text``, ``is_whole``, ``is_moment``, ``is_boolean`` and ``is_number`` are conditions on the
    column's type, of which the last one may take the longest. ``number`` and ``moment`` are the
    texts in these cases, and the first of ``texts`` is that of a boolean, a text or a whole number.
    In all others one of ``texts`` must be listed.
    ``exponents`` says whether a large number may be written with one. ``not_finite`` maps what
    Python calls such a number to the warehouse's word.

    ``is_zoned`` is the condition that a moment has a time zone, "" where none has: each is of UTC.
    ``is_real`` is the condition that a number has the type whose literals are no doubles; "" where
    the warehouse compares it with a literal as with another value of its type. ``matches`` is the
    condition that a text has a part which a regular expression describes, in which a dot is any
    character.

    ``printed`` is what the warehouse's own shell shows, NULL for NULL. ``text_type`` is the type of
    a text of any length, ``double_type`` that of a double, ``real_type`` that of ``is_real``, and
    ``whole_type`` what a cast to a whole number of 64 bits names. ``epoch`` is a date or time as
    seconds since 1970, one without a zone as one of UTC. ``instant`` is the moment that ``{text}``
    says, of which one with a zone ends in +00, and ``interval`` a ``{span}`` of time, such as `12
    hour`. ``quantile`` is the query of one row for ``{rows}`` of what stands in FROM. ``same`` is
    the condition that two values are the same, or both NULL.

    ``family`` is what values of types have in common that the warehouse compares without loss.
    ``joined_number`` is ``number``, and the same text for equal numbers of different types.
    """

    texts: tuple[str, ...]
    family: str
    is_number: str
    number: str
    joined_number: str
    is_moment: str
    moment: str
    is_boolean: str
    is_text: str
    is_whole: str
    exponents: bool
    not_finite: Mapping[str, str]
    is_zoned: str
    is_real: str
    matches: str
    printed: str
    text_type: str = "varchar"
    double_type: str = "double precision"
    real_type: str = "real"
    whole_type: str = "bigint"
    epoch: str = "extract(epoch from value_field)"
    instant: str = "cast({text} as timestamptz)"
    interval: str = "interval '{span}'"
    quantile: str = (
        "select percentile_{kind}({at}) within group (order by {column}) as {name} from {rows}"
    )
    same: str = "{one} is not distinct from {other}"

    def of(self, value: str) -> ValueForms:
        """The same for another value than ``value_field``."""
        texts = ("family", "is_number", "number", "joined_number", "is_moment", "moment")
        more = (
            "is_boolean",
            "is_text",
            "is_whole",
            "is_zoned",
            "is_real",
            "matches",
            "printed",
            "epoch",
        )
        changed: dict[str, Any] = {
            name: getattr(self, name).replace("value_field", value) for name in (*texts, *more)
        }
        changed["texts"] = tuple(text.replace("value_field", value) for text in self.texts)
        return replace(self, **changed)
