"""Copies of frozen values are those of the standard library, or the class is refused."""

import dataclasses
from dataclasses import dataclass

import pytest

from dagster_models.core.model import Config, Key, Location, Step
from dagster_models.util.frozen import replace

STEP = Step(Key("marts", "orders"), "sql", Location("models/marts/orders.sql"), Config(), None)


@dataclass(frozen=True, slots=True)
class One:
    only: int


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (STEP, {}),
        (STEP, {"sql": "select 1", "upstream": (Key("raw", "orders"),)}),
        (Config(), {"materialized": "table", "tags": ("nightly",), "timeout_seconds": 2.5}),
        (One(1), {"only": 2}),
    ],
)
def test_a_copy_is_that_of_the_standard_library(value, changes):
    before = repr(value)
    copy = replace(value, **changes)
    assert copy == dataclasses.replace(value, **changes)
    assert type(copy) is type(value)
    assert copy is not value
    assert repr(value) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(copy, dataclasses.fields(copy)[0].name, None)


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="Step has no field 'sqll'"):
        replace(STEP, sqll="select 1")


@dataclass(frozen=True, slots=True)
class Checked:
    number: int

    def __post_init__(self) -> None:
        assert self.number > 0


@dataclass(frozen=True)
class WithoutSlots:
    number: int = 1


@dataclass(frozen=True, slots=True)
class Derived(One):
    more: int = 0


@pytest.mark.parametrize("value", [Checked(1), WithoutSlots(), Derived(1)])
def test_a_class_whose_init_does_more_is_refused(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        replace(value, **{dataclasses.fields(value)[0].name: -1})
