"""A check as the warehouse runs it: the SQL to send, with what stands in it until then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster_models.core.checks import (
    CheckScope,
    Severity,
    Threshold,
    severity_of_error,
    thresholds_of,
)
from dagster_models.core.model import Relation
from dagster_models.core.python_code import PythonCode
from dagster_models.core.stand_ins import OWN_RELATION, OWN_WINDOW, own_column

ONLY_READS = "a check only reads: it runs in the transaction in which its model is published"

#: How many offending rows and columns are shown, and characters of a value sent.
_SHOWN_ROWS, _MOST_ROWS, MOST_COLUMNS = 5, 100, 20
#: More than what is shown in the end, so that a secret is recognised before it is cut.
MOST_CHARACTERS = 1_000


def shown_rows(limit: int | None) -> int:
    """How many offending rows are shown of a check with this `limit`."""
    return min(limit or _SHOWN_ROWS, _MOST_ROWS)


@dataclass(frozen=True, slots=True)
class OtherColumns:
    """Columns of another relation. ``relation`` is what stands for it in FROM."""

    relation: str
    columns: tuple[str, ...]

    def columns_in(self, names: Collection[str]) -> tuple[str, ...]:
        """The columns as the relation with these columns has them."""
        return tuple(_named_in(column, names) for column in self.columns)


@dataclass(frozen=True, slots=True)
class CheckTask:
    """One check of a relation.

    ``sql`` selects the offending rows. OWN_RELATION stands in it for the relation, and
    ``own_column(i)`` for the i-th of the ``columns`` that it is about. The numbers after these are
    those of the columns of ``others``, the other relations. A check whose ``error_if``
    is exceeded stops the publication; one whose ``warn_if`` is only reports. Without both, one
    offending row is too many, at the check's severity.

    A check that compares two columns has a query ``alike``, whose one value says whether their
    types are; if they are not, ``across`` selects the offending rows.

    A check of single rows has a ``condition``: SQL over one row of OWN_RELATION that is never NULL,
    and true where the row offends. So one scan can count the rows of many checks. ``where`` is SQL
    over such a row too: the rows in scope, "" for all of them. A check of the whole table may have
    a query ``number`` instead, which returns one row: the failures, a text that says what was
    found, and perhaps a number that later runs compare with. ``limit``: see ``Check``. ``store`` is
    the table that keeps the offending rows.

    A check that is a Python function has a ``code`` and no ``sql``. OWN_RELATION stands for the
    relation in its queries, too.
    """

    name: str
    sql: str
    severity: Severity = "error"
    columns: tuple[str, ...] = ()
    alike: str = ""
    across: str = ""
    condition: str = ""
    where: str = ""
    number: str = ""
    warn_if: Threshold | None = None
    error_if: Threshold | None = None
    scope: CheckScope = "table"
    limit: int | None = None
    store: Relation | None = None
    code: PythonCode | None = None
    others: tuple[OtherColumns, ...] = ()

    @property
    def thresholds(self) -> Mapping[Severity, Threshold]:
        return thresholds_of(self.severity, self.warn_if, self.error_if)

    @property
    def blocking(self) -> bool:
        """Whether its failure keeps the relation from being published."""
        return "error" in self.thresholds

    @property
    def severity_of_error(self) -> Severity:
        """The severity of a check that cannot run."""
        return severity_of_error(self.thresholds)

    @property
    def is_of_percent(self) -> bool:
        return any(threshold.percent for threshold in self.thresholds.values())

    def judged(self, failures: int, rows: int | None) -> tuple[Severity, bool]:
        """The severity of what was found, and whether it is accepted: see ``CheckOutcome``."""
        for severity, threshold in self.thresholds.items():
            if threshold.exceeded(failures, rows):
                return severity, False
        return self.severity_of_error, failures > 0

    @staticmethod
    def sent(sql: str, name: str, columns: Sequence[str], window: str = "") -> str:
        """The SQL to send, in which ``name`` is the relation, ``columns`` are its columns, and
        ``window`` has the rows that the build wrote (default: all of them), all as SQL.

        A text without OWN_WINDOW is about the rows of the window alone.
        """
        window = window or name
        sql = sql.replace(OWN_RELATION, name if OWN_WINDOW in sql else window)
        return _with_columns(sql.replace(OWN_WINDOW, window), columns)

    def with_others(self, columns: Sequence[str]) -> CheckTask:
        """The check with the columns of all ``others``, as SQL."""
        if not columns:
            return self
        first = len(self.columns)
        changed = self.with_sql(lambda sql: _with_columns(sql, columns, first))
        return replace(changed, others=())

    def with_sql(self, change: Callable[[str], str]) -> CheckTask:
        """The same check, whose queries *change* has written anew."""
        texts = (self.sql, self.alike, self.across, self.number)
        sql, alike, across, number = map(change, texts)
        code = self.code and self.code.with_sql(change)
        return replace(self, sql=sql, alike=alike, across=across, number=number, code=code)

    def columns_in(self, names: Collection[str]) -> tuple[str, ...]:
        """The columns as the relation with these columns has them: in any case, like in SQL."""
        return tuple(_named_in(column, names) for column in self.columns)

    def not_stored(self, why: str) -> str:
        """The note that its table does not keep the offending rows."""
        return f"WARNING: the rows of {self.name} are not stored: {why}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckTask:
        thresholds = {
            word: Threshold(**data[word]) for word in ("warn_if", "error_if") if data.get(word)
        }
        store = Relation(**data["store"]) if data.get("store") else None
        code = PythonCode.from_json(data["code"]) if data.get("code") else None
        columns = tuple(data.get("columns", ()))
        others = tuple(
            OtherColumns(it["relation"], tuple(it["columns"])) for it in data.get("others", ())
        )
        made = {"store": store, "code": code, "columns": columns, "others": others}
        return cls(**{**data, **thresholds, **made})


def _with_columns(sql: str, columns: Sequence[str], first: int = 0) -> str:
    for number, column in enumerate(columns, first):
        sql = sql.replace(own_column(number), column)
    return sql


def _named_in(column: str, names: Collection[str]) -> str:
    if column in names:
        return column
    folded = column.lower()
    return next((name for name in names if name.lower() == folded), column)
