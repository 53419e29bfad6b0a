"""How long a run will take, by how long its steps took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dagster_models.scheduling.forecast import forecast
from dagster_models.util.graph import weights

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
SECONDS = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 2.0}


def path(slots: int) -> list[tuple[str, float, float]]:
    found = forecast(DIAMOND, SECONDS, slots)
    assert found is not None
    return [(it.step, it.start, it.waits_seconds) for it in found.path]


def test_the_critical_path_at_a_number_of_slots() -> None:
    assert path(2) == [("a", 0, 0), ("b", 1, 0), ("d", 6, 0)]
    # With one slot c waits for the heavier b, and is what d waits for.
    assert path(1) == [("a", 0, 0), ("c", 6, 5), ("d", 9, 0)]


def test_what_is_not_known_takes_the_mean_and_nothing_known_is_no_forecast() -> None:
    found = forecast({"a": [], "b": ["a"], "new": ["b"]}, {"a": 2.0, "b": 4.0}, 4)
    assert found is not None
    assert found.seconds == 9.0
    assert forecast(DIAMOND, {"other": 1.0}, 4) is None
    assert forecast({}, SECONDS, 4) is None


def test_what_runs_already_has_its_slot_and_its_time() -> None:
    left = {"b": ["a"], "c": ["a"], "d": ["b", "c"]}  # a is over
    found = forecast(left, SECONDS, 1, running={"c": 2.5})
    assert found is not None
    assert found.seconds == 0.5 + 5 + 2
    assert [(it.step, it.start) for it in found.path] == [("b", 0.5), ("d", 5.5)]
    late = forecast(left, SECONDS, 2, running={"c": 60.0, "b": 60.0})
    assert late is not None
    assert late.seconds == 2, "what takes longer than it did may end at any moment"


def test_limits_hold() -> None:
    wide = {str(n): [] for n in range(4)}
    found = forecast(wide, dict.fromkeys(wide, 1.0), 4, limits={"pool": (list("012"), 1)})
    assert found is not None
    assert found.seconds == 3


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 9))), min_size=1, max_size=10),
    st.integers(1, 4),
)
def test_it_lies_between_what_is_possible_and_one_slot(
    steps: list[tuple[int, set[int]]], slots: int
) -> None:
    graph = {
        str(n): [str(read) for read in sorted(reads) if read < n]
        for n, (_, reads) in enumerate(steps)
    }
    seconds = {str(n): float(took) for n, (took, _) in enumerate(steps)}
    found = forecast(graph, seconds, slots)
    assert found is not None
    total = sum(seconds.values())
    least = max(max(weights(graph, seconds).values()), total / slots)
    assert least <= found.seconds <= total
    # What the path says is the whole time, without a gap.
    at = 0.0
    for it in found.path:
        assert it.start == at + it.waits_seconds
        at = it.end
    assert at == found.seconds
