"""The static graph: which step reads which. Pure functions over ``{step: its upstreams}``.

>>> graph = {"report": ("orders", "stg"), "orders": ("stg",), "stg": ()}
>>> order(graph)
['stg', 'orders', 'report']
>>> sorted(downstream(graph, "stg"))
['orders', 'report']
>>> weights(graph, {"stg": 1.0, "orders": 5.0, "report": 2.0})
{'report': 2.0, 'orders': 7.0, 'stg': 8.0}
>>> find_cycle({"a": ("b",), "b": ("a",)})
['a', 'b', 'a']

An upstream that is not itself a key of the graph (a source) takes part in nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import networkx as nx

Graph: TypeAlias = Mapping[str, Sequence[str]]
"""Step -> what it reads directly."""

UNIT_SECONDS = 1.0  #: the cost of a step where none has a past; only ratios matter


def _digraph(graph: Graph) -> nx.DiGraph[str]:
    """Edges run from what is read to its reader, nodes and edges in the order of *graph*."""
    digraph: nx.DiGraph[str] = nx.DiGraph()
    digraph.add_nodes_from(graph)
    digraph.add_edges_from(
        (upstream, step)
        for step, upstreams in graph.items()
        for upstream in upstreams
        if upstream in graph
    )
    return digraph


def order(graph: Graph) -> list[str]:
    """Every step after all that it reads; among equals, the order of *graph*.

    Raises ValueError, naming the path, if steps read each other in a circle.
    """
    position = {step: index for index, step in enumerate(graph)}
    try:
        return list(nx.lexicographical_topological_sort(_digraph(graph), key=position.__getitem__))
    except nx.NetworkXUnfeasible:
        cycle = find_cycle(graph) or []
        raise ValueError(f"steps read each other in a circle: {' -> '.join(cycle)}") from None


def find_cycle(graph: Graph) -> list[str] | None:
    """One circle as a path, each step reading the next, first == last; None if there is none."""
    return next(iter(find_cycles(graph)), None)


def find_cycles(graph: Graph) -> list[list[str]]:
    """One shortest circle through the first step of each knot of circles, in the graph's order.

    One per knot (strongly connected component), as their full number can be exponential.
    """
    digraph = _digraph(graph)
    position = {step: index for index, step in enumerate(graph)}
    cycles = []
    for component in nx.strongly_connected_components(digraph):
        first = min(component, key=position.__getitem__)
        if len(component) > 1 or digraph.has_edge(first, first):
            cycles.append(_shortest_cycle(digraph.subgraph(component), first))
    return sorted(cycles, key=lambda cycle: position[cycle[0]])


def _shortest_cycle(knot: nx.DiGraph[str], first: str) -> list[str]:
    if knot.has_edge(first, first):
        return [first, first]
    # Distances along "is read by"; walking them back from a step that *first* reads, or is read
    # by, gives the circle in reading order.
    paths = nx.single_source_shortest_path(knot, first)
    last = min(knot.predecessors(first), key=lambda step: (len(paths[step]), step))
    return [first, *reversed(paths[last])]


def downstream(graph: Graph, step: str) -> set[str]:
    """All that reads *step*, directly or through others, without *step* itself.

    Raises KeyError if *step* is not in the graph.
    """
    if step not in graph:
        raise KeyError(step)
    found: set[str] = nx.descendants(_digraph(graph), step)
    return found


def weights(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from each step's start to the run's end along its heaviest path. Linear time.

    Starting the heaviest ready step first is critical path scheduling. A step that is not in
    *seconds* costs the mean of those that are (tests/bench/schedule.py: durations have heavy tails,
    where the median makes runs longer), ``UNIT_SECONDS`` where none is. Raises ValueError on a
    circle, as ``order``.
    """
    known = [seconds[step] for step in graph if step in seconds]
    unknown_seconds = sum(known) / len(known) if known else UNIT_SECONDS
    result: dict[str, float] = {}
    heaviest_reader = dict.fromkeys(graph, 0.0)
    for step in reversed(order(graph)):
        result[step] = seconds.get(step, unknown_seconds) + heaviest_reader[step]
        for upstream in graph[step]:
            if upstream in graph:
                heaviest_reader[upstream] = max(heaviest_reader[upstream], result[step])
    return result
