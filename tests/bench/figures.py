"""How a benchmark prints a figure beside its goal. `make bench | grep MISSED` lists shortfalls.

from figures import Goal, show

show("whole command, 1,000 models", 8.9, Goal(12, "s"))
#   whole command, 1,000 models                                8.90 s      goal <= 12 s        met
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """The largest figure that is good enough, in its unit."""

    most: float
    unit: str

    def is_met_by(self, figure: float) -> bool:
        return figure <= self.most

    def __str__(self) -> str:
        return f"<= {self.most:g} {self.unit}"


def verdict(figure: float, goal: Goal) -> str:
    """Whether the figure meets its goal, for the end of a table's line."""
    return f"goal {goal!s:14}{'met' if goal.is_met_by(figure) else 'MISSED'}"


def show(what: str, figure: float, goal: Goal | None = None, unit: str = "") -> None:
    """Print a line with a figure. *unit*: that of a figure without a goal."""
    unit = goal.unit if goal else unit
    shown = f"{figure:,.0f}" if unit == "MiB" else f"{figure:.2f}"
    line = f"  {what:72}{shown:>9} {unit:10}"
    print(line + (verdict(figure, goal) if goal else ""), flush=True)
