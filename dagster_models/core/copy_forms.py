"""What becomes of a column that is copied from one warehouse to another.

A type is read in a *form*, which no warehouse owns, and stored as the type that the other warehouse
has for this form. Types and forms that are not listed have no equal, and a column of one is refused
with what to do; a type that holds the same values, but is another one, is worth a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError

_DIGITS = re.compile(r"(decimal|numeric)\((\d+),(\d+)\)", re.IGNORECASE)
_ARRAY = re.compile(r"(.+)\[\]")


@dataclass(frozen=True, slots=True)
class CopyForms:
    """``reads``: a type, in lower case -> its form. ``stores``: a form -> the type that holds it.
    ``notes`` are the forms of which a user should know how they are stored. An exact number is
    the type ``number``, of ``digits`` at most."""

    reads: Mapping[str, str]
    stores: Mapping[str, str]
    notes: frozenset[str]
    number: str
    digits: int

    def form(self, type_: str) -> str:
        """The form in which a type is read, "" if its values have no exact equal elsewhere."""
        if array := _ARRAY.fullmatch(type_):
            element = self.form(array[1])
            return f"{element}[]" if element in _ELEMENTS else ""
        if found := _DIGITS.fullmatch(type_):
            digits, scale = int(found[2]), int(found[3])
            return f"decimal({digits},{scale})" if scale <= digits else ""
        return self.reads.get(type_.lower(), "")

    def type_of(self, form: str) -> str:
        """The type that holds the form, "" if there is none."""
        if form.endswith("[]"):
            element = self.type_of(form[:-2])
            return f"{element}[]" if element and form[:-2] not in self.notes else ""
        if found := _DIGITS.fullmatch(form):
            return f"{self.number}({found[2]},{found[3]})" if int(found[2]) <= self.digits else ""
        return self.stores.get(form, "")


#: Of arrays: their elements arrive as values, and not as texts.
_ELEMENTS = frozenset(
    ("bool", "int16", "int32", "int64", "float", "double", "text", "date", "timestamp")
)


def notes_on(
    columns: Iterable[tuple[str, str]], source: CopyForms, here: CopyForms
) -> Iterator[str]:
    """What a user should know of columns, each (name, type), that are copied.

    Raises WarehouseError for those that have no equal; it names them all.
    """
    refused = []
    for name, type_ in columns:
        form = source.form(type_)
        stored = here.type_of(form) if form else ""
        if not stored:
            refused.append(f"{name} ({type_})")
        elif form in here.notes:
            yield f"column {name}: its type {type_} is stored as {stored}"
    if refused:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"these columns have no type with the same values here: {', '.join(refused)}. Cast them"
            " in the query, e.g. to text, or to an exact number with its digits; or leave them out",
            name="NoEqualType",
        )
