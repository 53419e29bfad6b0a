"""The picture of the critical path: what it draws of an explanation made by hand."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.path_picture import MOST_ROWS, path_picture

WAITED = "#d5dbe3"
#: raw.a 0 ====== 4; staging.b waits 4 - 6 for a slot, then 6 == 8, where it fails.
PATH = (
    Span("raw.a", "succeeded", 0.0, 4.0, flight_seconds=4.0),
    Span("staging.b", "failed", 4.0, 8.0, "raw.a", waited={"slot": 2.0}, flight_seconds=2.0),
)


def explanation(path: tuple[Span, ...], seconds: float = 8.0) -> Explanation:
    return Explanation("r", "failure", seconds, 2, {}, path, 6.0, (), 6.0, ())


def drawn(run: Explanation) -> tuple[list[tuple[str, float, float]], list[str]]:
    """(color, x, width) of each bar, and all texts."""
    root = ElementTree.fromstring(path_picture(run))
    found = list(root.iter("{http://www.w3.org/2000/svg}rect"))[1:]  # the first is the background
    bars = [(it.attrib["fill"], float(it.attrib["x"]), float(it.attrib["width"])) for it in found]
    return bars, [it.text or "" for it in root.iter("{http://www.w3.org/2000/svg}text")]


def test_each_step_has_its_time_and_what_it_waited() -> None:
    (first, waited, second), texts = drawn(explanation(PATH))
    (green, begin, width), (grey, _, _), (red, _, _) = first, waited, second
    assert grey == WAITED
    assert len({green, grey, red}) == 3, "what failed has a color of its own"
    per_second = width / 4
    assert waited[1:] == pytest.approx((begin + 4 * per_second, 2 * per_second), abs=0.2)
    assert second[1:] == pytest.approx((begin + 6 * per_second, 2 * per_second), abs=0.2)
    assert texts[0] == "Critical path: 6.00s in 2 steps, of 8.00s"
    assert {"raw.a", "4.00s", "staging.b", "2.00s"} < set(texts)
    assert [text for text in texts if text.endswith("s") and "." not in text] == [
        "0s",
        "2s",
        "4s",
        "6s",
        "8s",
    ]


@pytest.mark.parametrize(
    ("seconds", "last"), [(0.0, "0.001s"), (0.73, "0.6s"), (59.0, "50s"), (7_200.0, "6,000s")]
)
def test_the_axis_has_round_moments(seconds: float, last: str) -> None:
    _, texts = drawn(explanation((replace(PATH[0], end=seconds, flight_seconds=0.0),), seconds))
    assert texts[1].endswith("0s")
    assert last in texts


def test_a_long_path_loses_its_shortest_steps() -> None:
    path = tuple(
        Span(f"s.m{n}", "succeeded", n, n + 1.0, flight_seconds=0.001 if n % 2 else 1.0)
        for n in range(2 * MOST_ROWS)
    )
    bars, texts = drawn(explanation(path, 2.0 * MOST_ROWS))
    kept = [text for text in texts if text.startswith("s.m")]
    assert kept == [f"s.m{n}" for n in range(0, 2 * MOST_ROWS, 2)], "in the order of the path"
    assert f"({MOST_ROWS} short ones are left out)" in texts[0]
    assert len(bars) >= MOST_ROWS


def test_a_name_is_text_and_nothing_else() -> None:
    name = 'a<script>&"\x1b[31m' + "x" * 60
    _, texts = drawn(explanation((replace(PATH[0], step=name),)))
    assert any(text.startswith("...") and text.endswith("xxx") for text in texts)
    assert "<script>" not in path_picture(explanation((replace(PATH[0], step="<script>"),)))


def test_a_run_without_steps_has_no_picture() -> None:
    assert path_picture(explanation(())) == ""
