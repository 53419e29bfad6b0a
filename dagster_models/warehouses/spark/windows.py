"""Windows of a column as SQL of Spark, whose TIMESTAMP is a moment."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_models.warehouses import backquotes
from dagster_models.warehouses.materializations.windows import WindowColumn, WindowKind
from dagster_models.warehouses.spark import text

_WORDS = {
    WindowKind.DATE: "DATE",
    WindowKind.CLOCK: "TIMESTAMP_NTZ",
    WindowKind.MOMENT: "TIMESTAMP",
}
#: What is before and after every value that a table can hold: there is no infinity.
_FIRST, _LAST = "0001-01-01", "9999-12-31"


@dataclass(frozen=True, slots=True)
class SparkColumn(WindowColumn):
    """``type_`` is in the words of other warehouses: see ``of``."""

    @classmethod
    def of(cls, name: str, type_: str) -> SparkColumn:
        known = {"timestamp": "timestamp with time zone", "timestamp_ntz": "timestamp"}
        return cls(name, known.get(type_.lower(), type_))

    @property
    def quoted(self) -> str:
        return backquotes.quote(self.name)

    def literal(self, given: str) -> str:
        return text.literal(given)

    def typed(self, kind: WindowKind, given: str) -> str:
        ends = {"-infinity": _FIRST, "infinity": _LAST}
        return f"{_WORDS[kind]} {self.literal(ends.get(given, given))}"
