"""The conditions in SQL of a check, and other SQL over a row, each as a query that can be parsed,
traced and compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dagster_models.core.checks import Check
from dagster_models.core.freshness import FRESHNESS, LOADED_AT
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.project.checks.kinds import KINDS

_HEAD, _TAIL = f"select 1 from {OWN_RELATION} where (\n", "\n)"


class Condition(NamedTuple):
    """``key``: where it is written. ``relation``: the name of the relation that it is about, "" for
    the one that is checked."""

    key: str
    sql: str
    relation: str = ""

    @property
    def query(self) -> str:
        """A query of which it is the condition. OWN_RELATION stands in it for the relation."""
        return f"{_HEAD}{self.sql}{_TAIL}"


def conditions_of(check: Check) -> Iterator[Condition]:
    """The conditions of a check."""
    if check.where:
        yield Condition("where", check.where)
    if check.test == FRESHNESS and LOADED_AT in check.arguments:
        yield Condition(LOADED_AT, check.arguments[LOADED_AT])
    kind = KINDS.get(check.test)
    for key, of in kind.conditions.items() if kind is not None else ():
        if key in check.arguments:
            relation = next((check.arguments[name] for name in of if name in check.arguments), "")
            yield Condition(key, check.arguments[key], relation)


def condition_in(query: str) -> str:
    """The condition of a query that ``Condition.query`` has made, and that was compiled since."""
    return query[len(_HEAD) : -len(_TAIL)]
