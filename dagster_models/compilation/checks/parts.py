"""What the function of a kind of check gets, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.core.stand_ins import OWN_RELATION, OWN_WINDOW, own_column
from dagster_models.core.value_forms import ValueForms


@dataclass(frozen=True, slots=True)
class Other:
    """Another relation that a check reads: what stands for it in FROM, and for its columns in SQL
    until it is sent."""

    sql: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class CheckParts:
    """A check on a target.

    ``columns`` are those that it is about, and ``named`` those that its arguments name, by
    argument; all of them as they stand in SQL until it is sent. ``conditions`` and ``others`` are
    what its arguments mean that are SQL or name a relation. ``where`` is SQL, "" for all rows.
    ``in_window``: it is only to look for what concerns the rows that a build wrote. ``history``:
    what it has found after earlier builds, in the order of time.
    """

    columns: Sequence[str]
    named: Mapping[str, Sequence[str]]
    arguments: Mapping[str, Any]
    conditions: Mapping[str, str]
    others: Mapping[str, Other]
    where: str
    forms: ValueForms
    dialect: str
    in_window: bool = False
    history: Sequence[float] = ()

    @property
    def column(self) -> str:
        return self.columns[0]

    @property
    def scope(self) -> str:
        """The condition that a row is in scope, which is never NULL; "" for all rows."""
        return f"coalesce((\n{self.where}\n), false)" if self.where else ""

    @property
    def own(self) -> str:
        """The rows in scope, as they stand in FROM."""
        return self._in_scope(OWN_RELATION)

    @property
    def aliased(self) -> str:
        """The same with a name, which a query in FROM needs and the relation does not."""
        return f"{self.own} as own_rows" if self.where else self.own

    @property
    def new(self) -> str:
        """The rows in scope that a build wrote, as they stand in FROM."""
        return self._in_scope(OWN_WINDOW)

    def _in_scope(self, relation: str) -> str:
        return f"(select * from {relation} where {self.scope})" if self.where else relation

    def rows(self, offends: str) -> CheckSql:
        """A check of single rows. *offends* is a condition that is never NULL."""
        condition = f"{self.scope} and ({offends})" if self.where else offends
        return CheckSql(f"select *\nfrom {OWN_RELATION}\nwhere {condition}", condition)

    def number(self, inner: str, offends: str, found: str, shown: str, value: str = "") -> CheckSql:
        """A check of the whole relation: *inner* returns one row, which may offend. *found* is the
        text that says what was found, *shown* are its columns, and *value* is the number that later
        runs compare with; all are SQL over that row."""
        source = f"from (\n{inner}\n) as found_in_all"
        return CheckSql(
            f"select {shown}\n{source}\nwhere {offends}",
            number=f"select case when {offends} then 1 else 0 end as failures, {found} as found"
            f"{f', {value} as value' if value else ''}\n{source}",
        )


@dataclass(frozen=True, slots=True)
class CheckSql:
    """The fields of a CheckTask that its kind decides."""

    sql: str
    condition: str = ""
    number: str = ""
    alike: str = ""
    across: str = ""


def stand_ins(first: int, count: int) -> tuple[str, ...]:
    """What stands in SQL for *count* columns, from the one of that number on."""
    return tuple(own_column(number) for number in range(first, first + count))
