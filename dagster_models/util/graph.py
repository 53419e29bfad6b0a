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

An upstream that is not itself a key of the graph (a source) is ignored here.

networkx answers the questions about graphs with cycles. It is imported only then, as the import
alone takes 0.12 s of each command and each run.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import networkx as nx

Graph: TypeAlias = Mapping[str, Sequence[str]]
"""Step -> what it reads directly."""

UNIT_SECONDS = 1.0  #: the cost of a step if no step has a history; only ratios matter


def _digraph(graph: Graph) -> nx.DiGraph[str]:
    """Edges run from what is read to its reader, nodes and edges in the order of *graph*."""
    import networkx as nx

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
    """The steps, each after all that it reads; otherwise in the order of *graph*.

    Raises ValueError, which names the path, if steps read each other in a cycle.
    """
    result = _sorted(graph)
    if len(result) < len(graph):
        cycle = find_cycle(graph) or []
        raise ValueError(f"steps read each other in a cycle: {' -> '.join(cycle)}")
    return result


def _sorted(graph: Graph) -> list[str]:
    """As ``order``, but without what is on a cycle or behind one (Kahn's algorithm)."""
    steps = list(graph)
    position = {step: index for index, step in enumerate(steps)}
    readers: list[list[int]] = [[] for _ in steps]
    missing = []
    for index, upstreams in enumerate(graph.values()):
        known = {position[upstream] for upstream in upstreams if upstream in position}
        missing.append(len(known))
        for upstream in known:
            readers[upstream].append(index)
    free = [index for index, count in enumerate(missing) if not count]  # ascending: a heap
    result = []
    while free:
        index = heapq.heappop(free)
        result.append(steps[index])
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(free, reader)
    return result


def find_cycle(graph: Graph) -> list[str] | None:
    """One cycle as a path, each step reading the next, first == last; None if there is none."""
    return next(iter(find_cycles(graph)), None)


def find_cycles(graph: Graph) -> list[list[str]]:
    """For each strongly connected component, a shortest cycle through its first step.

    They are in the graph's order. There is one per component, as the number of all cycles can be
    exponential.
    """
    if len(_sorted(graph)) == len(graph):
        return []
    import networkx as nx

    digraph = _digraph(graph)
    position = {step: index for index, step in enumerate(graph)}
    cycles = []
    for component in nx.strongly_connected_components(digraph):
        first = min(component, key=position.__getitem__)
        if len(component) > 1 or digraph.has_edge(first, first):
            cycles.append(_shortest_cycle(digraph.subgraph(component), first))
    return sorted(cycles, key=lambda cycle: position[cycle[0]])


def _shortest_cycle(component: nx.DiGraph[str], first: str) -> list[str]:
    if component.has_edge(first, first):
        return [first, first]
    import networkx as nx

    # The paths follow "is read by". Walking one back, from a step that *first* reads, gives the
    # cycle in reading order.
    paths = nx.single_source_shortest_path(component, first)
    last = min(component.predecessors(first), key=lambda step: (len(paths[step]), step))
    return [first, *reversed(paths[last])]


def downstream(graph: Graph, step: str) -> set[str]:
    """All that reads *step*, directly or through others, without *step* itself.

    Raises KeyError if *step* is not in the graph.
    """
    import networkx as nx

    if step not in graph:
        raise KeyError(step)
    found: set[str] = nx.descendants(_digraph(graph), step)
    return found


def weights(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from each step's start to the run's end along its heaviest path. Linear time.

    Critical path scheduling starts the heaviest ready step first. A step that is not in *seconds*
    counts as the mean of those that are (tests/bench/schedule.py: durations have heavy tails, and
    the median makes runs longer), or as ``UNIT_SECONDS`` if there are none. Raises ValueError on a
    cycle, as ``order`` does.
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
