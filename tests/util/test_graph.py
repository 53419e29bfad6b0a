"""The static graph against oracles that do not use networkx."""

from __future__ import annotations

import doctest
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_models.util import graph as module
from dagster_models.util.graph import downstream, find_cycle, find_cycles, order, weights


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """A graph without a cycle, its keys in an arbitrary order."""
    names = [f"s{i}" for i in range(draw(st.integers(1, 12)))]
    reads = {
        name: tuple(draw(st.lists(st.sampled_from(names[:i]), unique=True))) if i else ()
        for i, name in enumerate(names)
    }
    return {name: reads[name] for name in draw(st.permutations(names))}


@st.composite
def any_graph(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    names = [f"s{i}" for i in range(draw(st.integers(1, 8)))]
    return {n: tuple(draw(st.lists(st.sampled_from(names), unique=True))) for n in names}


def heaviest(graph: dict[str, tuple[str, ...]], seconds: dict[str, float], step: str) -> float:
    """The definition itself, exponential."""
    readers = [s for s, reads in graph.items() if step in reads]
    return seconds[step] + max((heaviest(graph, seconds, r) for r in readers), default=0.0)


def has_cycle(graph: dict[str, tuple[str, ...]]) -> bool:
    """Remove steps whose upstreams are all removed; what stays is on a cycle or behind one."""
    left = dict(graph)
    while free := [s for s, reads in left.items() if not any(r in left for r in reads)]:
        for step in free:
            del left[step]
    return bool(left)


def test_the_examples_of_the_docstring() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted >= 4


@given(acyclic())
def test_order_puts_what_is_read_before_its_reader(graph: dict[str, tuple[str, ...]]) -> None:
    steps = order(graph)
    assert sorted(steps) == sorted(graph)
    for step, reads in graph.items():
        assert all(steps.index(r) < steps.index(step) for r in reads)


def test_order_keeps_the_given_order_among_equals() -> None:
    assert order({"c": (), "a": (), "b": ("c",)}) == ["c", "a", "b"]
    assert order({"b": ("c",), "a": (), "c": ()}) == ["a", "c", "b"]


def test_order_of_a_cycle_names_it() -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        order({"a": ("b",), "b": ("a",), "c": ()})


@given(any_graph())
def test_a_cycle_is_found_exactly_when_there_is_one(graph: dict[str, tuple[str, ...]]) -> None:
    cycle = find_cycle(graph)
    assert (cycle is not None) == has_cycle(graph)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(b in graph[a] for a, b in pairwise(cycle))


def test_each_component_is_reported_once_by_its_shortest_cycle() -> None:
    graph = {
        "a": ("b",),
        "b": ("c", "a"),
        "c": ("a",),
        "alone": ("alone",),
        "x": ("y", "a"),
        "y": ("x",),
        "fine": ("x",),
    }
    assert find_cycles(graph) == [["a", "b", "a"], ["alone", "alone"], ["x", "y", "x"]]


@given(acyclic())
def test_downstream_is_all_readers_of_readers(graph: dict[str, tuple[str, ...]]) -> None:
    for step in graph:
        reached: set[str] = set()
        for other in order(graph):
            if any(r == step or r in reached for r in graph[other]):
                reached.add(other)
        assert downstream(graph, step) == reached


def test_downstream_of_an_unknown_step() -> None:
    with pytest.raises(KeyError):
        downstream({"a": ()}, "b")


@given(acyclic(), st.data())
def test_weights_are_the_heaviest_path(
    graph: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    seconds = {step: float(data.draw(st.integers(0, 50))) for step in graph}
    assert weights(graph, seconds) == {s: heaviest(graph, seconds, s) for s in graph}


def test_an_unknown_duration_costs_a_unit_and_sources_cost_nothing() -> None:
    assert weights({"a": ("raw.source",), "b": ("a",)}, {}) == {"b": 1.0, "a": 2.0}


def test_an_unknown_duration_beside_known_ones_costs_their_mean() -> None:
    graph = {"a": (), "b": ("a",), "new": ("b",)}
    elsewhere = {"not in this run": 1000.0}
    weight = weights(graph, {"a": 20.0, "b": 40.0, **elsewhere})
    assert weight == {"new": 30.0, "b": 70.0, "a": 90.0}


def test_weights_are_linear() -> None:
    """Quadratic work on 20,000 steps would take minutes; linear takes a fraction of a second."""
    layers = [[f"l{d}_{i}" for i in range(100)] for d in range(200)]
    graph = {
        step: tuple(layers[d - 1][(i + k) % 100] for k in range(3)) if d else ()
        for d, layer in enumerate(layers)
        for i, step in enumerate(layer)
    }
    started = time.process_time()
    assert weights(graph, {})["l0_0"] == 200.0
    assert time.process_time() - started < 5.0
