"""Frozen dataclasses with slots, and copies of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any, TypeVar

Value = TypeVar("Value")


def replace(value: Value, /, **changes: Any) -> Value:
    """A copy of a frozen dataclass with slots that has other values in the fields *changes*.

    It is equal to what ``dataclasses.replace`` returns, which calls ``__init__`` and so assigns
    each field by its name. A load copies each step several times, and copying its slots takes a
    third of the time (docs/performance.md).

    Raises:
        TypeError: there is no such field, or the class is of another sort: one without slots, or
            with a ``__post_init__``, which this would leave out.
    """
    of: Any = type(value)
    slots, values_of = _slots(of)
    copy: Value = object.__new__(of)
    for assign, old in zip(slots.values(), values_of(value), strict=True):
        assign(copy, old)
    for name, new in changes.items():
        if name not in slots:
            raise TypeError(f"{type(value).__name__} has no field {name!r}")
        slots[name](copy, new)
    return copy


@cache
def _slots(
    of: type,
) -> tuple[Mapping[str, Callable[[Any, Any], None]], Callable[[Any], tuple[Any, ...]]]:
    """Functions that assign each field, and one that returns the values of all."""
    names = [field.name for field in fields(of)]
    members = {name: of.__dict__.get(name) for name in names}
    slots = {n: it.__set__ for n, it in members.items() if isinstance(it, MemberDescriptorType)}
    if hasattr(of, "__post_init__") or len(slots) < len(names):
        raise TypeError(f"{of.__name__} is not a dataclass that has slots and no __post_init__")
    get = attrgetter(*names)
    return slots, get if len(names) > 1 else lambda value: (get(value),)
