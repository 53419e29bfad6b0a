"""docs/performance.md lists the tricks that the benchmark measures, and names what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import dagster_models
from pages import Page
from paths import REPOSITORY

PACKAGE = Path(dagster_models.__file__).parent
PAGE = Page.of("performance.md")
ROWS = re.findall(r"^\| (.*?) \| `(.*?\.py)`(?:, `(\w+)`)? \| (.*?) \|$", PAGE, re.MULTILINE)


def test_what_the_page_names_exists() -> None:
    assert len(ROWS) == PAGE.count(".py` |") + PAGE.count("`, `")
    for _, path, name, _ in ROWS:
        assert name in (PACKAGE / path).read_text(encoding="utf-8"), path


def test_each_trick_that_is_measured_is_on_the_page_with_its_figure() -> None:
    """The caches and the template of Python steps have benchmarks of their own."""
    tree = ast.parse((REPOSITORY / "tests" / "bench" / "tricks.py").read_text(encoding="utf-8"))
    measured = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Trick"
    ]
    assert len(measured) + 2 == len(ROWS)
    for trick, _, _, buys in ROWS:
        shares = [int(share) for share in re.findall(r"\+(\d+) %", buys)]
        assert max(shares, default=5) >= 5, trick


def test_the_page_says_how_each_benchmark_of_make_bench_makes_its_figures() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for bench in (.*?); do", makefile, re.DOTALL)
    names = set(re.findall(r"\w+", listed))
    scripts = {path.stem for path in (REPOSITORY / "tests" / "bench").glob("*.py")}
    figures = PAGE.section("The figures, and how each is made")
    assert names & scripts == set(re.findall(r"`(\w+)\.py`", figures))
