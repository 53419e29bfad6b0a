"""The resources of steps: what is made once for a run, and what each step gets as before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterUnknownResourceError
from dagster._config.pythonic_config import IAttachDifferentObjectToOpContext
from dagster._core.definitions.scoped_resources_builder import (
    IContainsGenerator,
    ScopedResourcesBuilder,
)

from dagster_models._dagster.resources import make_resource_classes_once


class AnotherEachTime(IAttachDifferentObjectToOpContext):
    """A resource that hands out an object of its own to each step."""

    def get_object_to_set_on_execution_context(self) -> object:
        return object()


GIVEN = {"one": object(), "two": [2], "each": AnotherEachTime()}


def builder(*, generators: bool = False) -> ScopedResourcesBuilder:
    found = ScopedResourcesBuilder(GIVEN, contains_generator=generators)
    context: Any = SimpleNamespace(scoped_resources_builder=found)
    make_resource_classes_once(context)
    return found


@pytest.mark.parametrize("generators", [False, True])
@pytest.mark.parametrize("keys", [None, set(), {"one"}, {"one", "two"}, {"one", "missing"}])
def test_each_step_gets_what_dagster_makes(keys: set[str] | None, generators: bool) -> None:
    stock: Any = ScopedResourcesBuilder(GIVEN, contains_generator=generators).build(keys)
    ours = builder(generators=generators)
    for _ in range(3):
        found: Any = ours.build(keys)
        assert found._asdict() == stock._asdict()
        assert found.original_resource_dict == stock.original_resource_dict
        assert isinstance(found, IContainsGenerator) is generators
        with pytest.raises(DagsterUnknownResourceError):
            found.missing  # noqa: B018


def test_the_class_is_made_once_and_the_tuple_for_each_step() -> None:
    ours = builder()
    first, second, other = (
        ours.build({"one", "two"}),
        ours.build({"two", "one"}),
        ours.build({"one"}),
    )
    assert type(first) is type(second)
    assert type(first) is not type(other)
    first.mine = 1  # type: ignore[attr-defined]
    with pytest.raises(DagsterUnknownResourceError):
        second.mine  # noqa: B018


def test_a_resource_that_is_another_for_each_use_is_asked_each_time() -> None:
    ours = builder()
    first, second = ours.build({"one", "each"}), ours.build({"one", "each"})
    assert first.each is not second.each
    assert first.one is second.one


class Lazy:
    """A resource that connects once it is used, such as a proxy of a client."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"connects for {name}")


def test_a_resource_is_not_used() -> None:
    found = ScopedResourcesBuilder({"lazy": Lazy()})
    context: Any = SimpleNamespace(scoped_resources_builder=found)
    make_resource_classes_once(context)
    first: Any = found.build({"lazy"})
    assert first.lazy is found.build({"lazy"}).lazy  # type: ignore[attr-defined]
