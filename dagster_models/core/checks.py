"""What the project declares of its checks: frozen values, free of I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

from dagster_models.core.model import EMPTY, Config, Key, Location, Module, Source, Step

_NOWHERE = Location("")

Severity = Literal["error", "warn"]
#: When the checks of models run: each model's before it is published, all of them after the last
#: model of a run, or not at all.
When = Literal["each", "after", "none"]
WHEN: tuple[When, ...] = get_args(When)
#: What a check looks at: the rows that this build wrote, or all rows of the relation.
CheckScope = Literal["window", "table"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """`> 10` or `> 1.5%`: the number of offending rows from which a check warns or fails.

    ``above`` is a decimal number as text, so that nothing is rounded. ``percent`` is of the rows
    in the check's scope.
    """

    above: str
    percent: bool = False

    def exceeded(self, failures: int, rows: int | None) -> bool:
        """Whether *failures* offending rows of *rows* in scope are too many.

        A percentage of an unknown number of rows, or of none, is exceeded by any offending row.
        """
        if not self.percent:
            return Fraction(failures) > Fraction(self.above)
        if not rows:
            return failures > 0
        return Fraction(failures, rows) * 100 > Fraction(self.above)

    def __str__(self) -> str:
        return f"> {self.above}{'%' if self.percent else ''}"


#: What a check without thresholds has, at its severity.
ANY_ROW = Threshold("0")


def thresholds_of(
    severity: Severity, warn_if: Threshold | None, error_if: Threshold | None
) -> Mapping[Severity, Threshold]:
    """The threshold of each severity that has one, the one that decides first."""
    found: dict[Severity, Threshold] = {}
    if error_if is not None:
        found["error"] = error_if
    if warn_if is not None:
        found["warn"] = warn_if
    return found or {severity: ANY_ROW}


def severity_of_error(thresholds: Mapping[Severity, Threshold]) -> Severity:
    """The severity of a check with these thresholds that cannot run."""
    return "error" if "error" in thresholds else "warn"


class NamedArgument(NamedTuple):
    """An argument of a query that stands for a name: of columns of the relation that is checked,
    or of another relation."""

    sort: Literal["column", "columns", "relation"]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckCode:
    """The file of a check that is a Python function. ``digest``, ``code``, ``modules`` and
    ``queries`` are what a ``Step`` has of its file."""

    digest: str
    code: str
    modules: tuple[Module, ...] = ()
    queries: Mapping[str, frozenset[str]] = EMPTY


@dataclass(frozen=True, slots=True)
class Check:
    """A query that must return no rows, or not many.

    ``name`` is unique within its model. ``test`` is the kind of the check, with its ``columns``
    and ``arguments``; one of checks/*.sql has the kind "query" and the user's ``text``, and one of
    checks/*.py has the kind "python" and a ``function``. Only rows
    that meet ``where`` are checked. A check without thresholds has ANY_ROW at its severity, and one
    with one threshold does not have the other. ``scope`` is None for that of the kind.
    ``limit`` is how many offending rows are shown (100 at most; None for 5) and stored (None for
    all); all are counted.
    """

    name: str
    model: Key
    severity: Severity = "error"
    location: Location = _NOWHERE
    test: str = "query"
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = EMPTY
    text: str = ""
    description: str = ""
    where: str = ""
    warn_if: Threshold | None = None
    error_if: Threshold | None = None
    scope: CheckScope | None = None
    limit: int | None = None
    store_failures: bool = False
    function: CheckCode | None = None

    @property
    def stored_as(self) -> str:
        """The name of the table that keeps the offending rows, if one does."""
        return f"failures_{self.name}"

    @property
    def blocking(self) -> bool:
        """Whether its failure keeps the relation from being published."""
        return "error" in self.thresholds

    @property
    def thresholds(self) -> Mapping[Severity, Threshold]:
        return thresholds_of(self.severity, self.warn_if, self.error_if)


def checks_of(source: Source) -> Step:
    """The step that runs the checks of a source, and builds nothing."""
    return Step(
        source.key,
        "source",
        source.location,
        Config(),
        source.relation,
        resolved=source.resolved,
        checks=source.checks,
        variables=source.variables,
    )
