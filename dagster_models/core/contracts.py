"""The contract of a model: the columns and types that its relation has, and no others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.util.text_table import aligned

MISSING = "(missing)"
NOT_DECLARED = "(not declared)"


@dataclass(frozen=True, slots=True)
class ContractColumn:
    """A column that a model promises. ``type`` is as its author writes it, and ``place`` is
    file:line of the column."""

    name: str
    type: str
    place: str


@dataclass(frozen=True, slots=True)
class Contract:
    """All columns that a model promises, in any order. ``place`` is file:line of the contract."""

    columns: tuple[ContractColumn, ...]
    place: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Contract:
        columns = tuple(ContractColumn(**column) for column in values["columns"])
        return cls(**{**values, "columns": columns})


@dataclass(frozen=True, slots=True)
class Breach:
    """A column that is not as the contract says: its type there and in the relation, or that it is
    not there."""

    name: str
    declared: str
    found: str
    place: str


def breaches(
    contract: Contract,
    types: Sequence[str],
    found: Sequence[tuple[str, str]],
    own: Collection[str] = (),
) -> list[Breach]:
    """How the columns that were *found*, (name, type), differ from those of the contract, whose
    *types* stand in the same words; "" is a type that is not known, which differs from none.

    *own* are columns that the kind of model adds: the contract may leave them out. Nobody writes
    quotes in YAML, so a column is found whatever its case, if no other one has its letters.
    """
    names = [[it.name for it in contract.columns], [name for name, _ in found]]
    apart = all(len({name.lower() for name in some}) == len(some) for some in names)
    folded = str.lower if apart else str
    there = {folded(name): (name, type_) for name, type_ in found}
    known = {folded(name) for name in own}
    wrong = []
    for column, type_ in zip(contract.columns, types, strict=True):
        known.add(folded(column.name))
        _, real = there.get(folded(column.name), ("", MISSING))
        if real == MISSING or (type_ and real and real != type_):
            wrong.append(Breach(column.name, column.type, real, column.place))
    extra = [pair for key, pair in there.items() if key not in known]
    return wrong + [Breach(name, NOT_DECLARED, type_, contract.place) for name, type_ in extra]


def table_of(wrong: Sequence[Breach]) -> str:
    """The breaches as a table of text."""
    head = ("column", "contract", "relation", "declared at")
    rows = [head, *((it.name, it.declared, it.found, it.place) for it in wrong)]
    return "\n".join(f"  {line}" for line in aligned(rows))
