"""A unit test of a model, as it is declared: the rows that it reads, and the table afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dagster_models.core.model import EMPTY, Key, Location


class Cell(NamedTuple):
    """A value of a row. ``written``: its text in the file, as 1.10 is not 1.1; None for NULL."""

    value: Any
    written: str | None
    place: Location


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows that a test writes out. ``columns`` are in the order in which they are first named, each
    with its place; a cell that a row does not name is None."""

    location: Location
    columns: Mapping[str, Location] = field(default_factory=dict)
    rows: tuple[tuple[Cell | None, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class GivenQuery:
    """Rows that a query of no relation returns. ``first_line`` is that of its text in the file."""

    location: Location
    sql: str
    first_line: int


Given = GivenRows | GivenQuery


@dataclass(frozen=True, slots=True)
class UnitTest:
    """A test of the whole materialization of ``model``, which is rolled back.

    ``given``: what the model reads -> its rows; what is not there is empty. The model's own key is
    what its table held before, in the file `this`. ``expect``: its rows afterwards, None for any.
    ``now`` is what the clock shows, None for the real one, and ``since`` goes before what `$since`
    is read as. ``key``: columns that tell rows apart in what is shown of a failure.
    """

    model: Key
    name: str
    location: Location
    expect: Given | None
    given: Mapping[Key, Given] = field(default_factory=dict)
    variables: Mapping[str, Any] = EMPTY
    partitions: tuple[str, ...] = ()
    since: Cell | None = None
    now: dt.datetime | None = None
    full_refresh: bool = False
    key: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model}: {self.name}"
