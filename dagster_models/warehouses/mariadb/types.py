"""Types of columns, as SHOW COLUMNS writes them: which one holds all values of another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

_WRITTEN = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?( unsigned)?\Z")
#: Whole numbers, from the smallest type on, with the most digits that one has.
_WHOLE = {"tinyint": 3, "smallint": 5, "mediumint": 8, "int": 10, "bigint": 20}
#: How many bytes a text or binary value has at most; a character may have four.
_BYTES = {"tiny": 255, "": 65_535, "medium": 16_777_215, "long": 4_294_967_295}
_TEXTS = {f"{size}text": most for size, most in _BYTES.items()}
_BLOBS = {f"{size}blob": most for size, most in _BYTES.items()}
_TIMES = frozenset(("time", "datetime", "timestamp"))
#: The most characters that an index of ours has of a value.
_INDEXED = 100


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type in its parts. ``digits`` is also a length, 0 where none is written."""

    word: str
    digits: int = 0
    scale: int = 0
    unsigned: bool = False

    BOOLEAN: ClassVar[str] = "tinyint(1)"

    @classmethod
    def of(cls, written: str) -> ColumnType:
        if written == cls.BOOLEAN:  # no number for whoever reads it
            return cls("boolean")
        found = _WRITTEN.match(written)
        if found is None:
            return cls(written)
        return cls(found[1], int(found[2] or 0), int(found[3] or 0), bool(found[4]))

    @property
    def is_whole(self) -> bool:
        return self.word in _WHOLE

    @property
    def is_number(self) -> bool:
        return self.is_whole or self.word in ("decimal", "float", "double")

    @property
    def is_text(self) -> bool:
        return self.word in ("char", "varchar") or self.word in _TEXTS

    @property
    def is_time(self) -> bool:
        return self.word in _TIMES or self.word == "date"

    @property
    def is_long(self) -> bool:
        """Whether an index of the whole column may not be had."""
        if self.word in _TEXTS or self.word in _BLOBS:
            return True
        return self.word.endswith(("char", "binary")) and self.digits > _INDEXED


def fits(given: str, table: str) -> bool:
    """Whether a column of the type *table* takes all values of the type *given* as they are."""
    one, other = ColumnType.of(given), ColumnType.of(table)
    if one == other:
        return True
    if one.is_whole and other.is_whole:
        ranks = [*_WHOLE]
        wider = ranks.index(other.word) - ranks.index(one.word)
        if one.unsigned == other.unsigned:
            return wider >= 0
        return one.unsigned and wider > 0
    if other.word == "decimal" and (one.is_whole or one.word == "decimal"):
        whole = _WHOLE.get(one.word, one.digits - one.scale)
        may_sign = one.unsigned or not other.unsigned
        return may_sign and whole <= other.digits - other.scale and one.scale <= other.scale
    if (one.word, other.word) == ("float", "double"):
        return not other.digits  # double(5,2) rounds
    if one.word == other.word and one.word in _TIMES:
        return one.digits <= other.digits
    for fixed, sized in (("char", _TEXTS), ("binary", _BLOBS)):
        if _length(one, fixed, sized) is not None and _length(other, fixed, sized) is not None:
            return _holds(one, other, fixed, sized)
    return False


def _length(it: ColumnType, fixed: str, sized: dict[str, int]) -> int | None:
    return it.digits if it.word in (fixed, f"var{fixed}") else sized.get(it.word)


def _holds(one: ColumnType, other: ColumnType, fixed: str, sized: dict[str, int]) -> bool:
    wanted, room = _length(one, fixed, sized), _length(other, fixed, sized)
    assert wanted is not None
    assert room is not None
    if one.word not in sized and other.word in sized and fixed == "char":
        wanted *= 4
    if one.word in sized and other.word not in sized:
        return False  # one counts bytes, and the other characters
    return other.word != fixed and wanted <= room  # CHAR takes spaces off, and BINARY adds zeros


def altered(column: str, given: str, wanted: str) -> str:
    """The condition that a value of the column (quoted) would be another one in that type. It may
    raise an error for a value that is none of the new type at all."""
    one, other = ColumnType.of(given), ColumnType.of(wanted)
    if one.is_number and other.is_number and other.word != "float":
        word = "SIGNED"
        if other.is_whole:
            word = "UNSIGNED" if other.unsigned else word
        else:
            word = wanted if other.word == "decimal" else "DOUBLE"
        return f"{column} <> CAST({column} AS {word})"
    if one.is_text and other.word == "varchar":
        return f"char_length({column}) > {other.digits}"
    return f"{column} IS NOT NULL"
