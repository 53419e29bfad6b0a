"""The rows that a predicate of an incremental model may name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredicateRows:
    """The rows that a predicate may name, of `t`, that of the table, and `n`, the new one; and the
    row of a column without either, "" where it has to be said. ``fix``: what to write instead."""

    named: str
    bare: str
    fix: str


BOTH_ROWS = PredicateRows("tn", "t", "")
OF_TABLE = PredicateRows(
    "t", "t", "Compare columns of the table. Only a merge of all columns knows the new row."
)
OF_UPDATE = PredicateRows("tn", "", "")
OF_INSERT = PredicateRows(
    "n", "n", "Compare columns of the new row: the table has no row of its key."
)
