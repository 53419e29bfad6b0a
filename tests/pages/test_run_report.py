"""The page about a run says what the journal says, whatever is in it, and a browser shows it."""

from __future__ import annotations

import html.parser
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from browser import document_of, needs_browser
from cli_cases import run as command
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.pages.graph import places
from dagster_models.pages.run_report import run_report
from dagster_models.pages.slots import rows_of
from dagster_models.reporting.explain import Span, explain
from dagster_models.reporting.journal import JournalContents, RunEnd
from dagster_models.reporting.results import CheckResult, RunHeader, StepResult, totals
from running import make_project

HOSTILE = "<script>document.title = 'taken'</script>&\"'\x1b[31m"


def step(
    name: str, begin: float, end: float, state: str = "succeeded", **more: object
) -> StepResult:
    times = {"ready_at": 1000 + begin, "ended_at": 1000 + end, "started_at": 1000 + begin}
    return StepResult(name, "sql", "table", state, **{**times, **more})  # type: ignore[arg-type]


def report_of(
    results: Sequence[StepResult], upstream: dict[str, tuple[str, ...]], slots: int = 2
) -> str:
    steps = tuple(upstream)
    header = RunHeader("7f3c", "flights", "dev", 1000.0, steps, "1", slots=slots, upstream=upstream)
    end = RunEnd("failure", totals(results), 9.0)
    told = explain(JournalContents(header, tuple(results), end))
    assert told is not None
    return run_report(told, header, results, lambda result: f"select 1\n{HOSTILE} as x")


FAILED = TaskError(ErrorKind.BAD_COLUMN, f"no column {HOSTILE}", line=2)
CHECK = CheckResult(
    "unique_id",
    "error",
    failures=2,
    rows=4,
    sample=(("1", HOSTILE), ("1", None)),
    sample_columns=("id", HOSTILE),
    query="select id\nfrom t",
    file="models/a.sql",
    line=3,
)
RESULTS = (
    step("m.a", 0, 4, checks=(CHECK,), rows=4),
    step("m.b", 0, 2, "failed", error=FAILED, file="models/b.sql"),
    step("m.c", 4, 9, waited={"slot": 1.5}),
    step("m.d", 2, 2, "skipped", cause="m.b", cause_state="failed", path=("m.b", "m.d")),
)
UPSTREAM = {"m.d": ("m.b",), "m.c": ("m.a",), "m.a": (), "m.b": ()}


class Reader(html.parser.HTMLParser):
    """What a page says and where it leads, as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a":
            self.links.add((found["href"] or "").removeprefix("#"))
        self.scripts += tag == "script"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_it_says_what_became_of_each_step() -> None:
    page = Reader(report_of(RESULTS, UPSTREAM))
    text = " ".join(" ".join(page.words).split())
    assert "no column <script>" in text
    assert "Skipped below it: m.d" in text
    assert "unique_id of m.a models/a.sql:3" in text
    assert "slot: 1.50 s" in text
    assert "upstream m.b failed" in text
    assert page.links <= page.ids, "each link leads to a step of the page"
    assert page.scripts == 1, "what a user wrote is no script"
    assert not re.search(r"(?:src|href)=\"https?:", report_of(RESULTS, UPSTREAM))


def test_a_step_has_one_color_in_both_pictures() -> None:
    """That of m.a is red: a check of it failed after it was published."""
    text = report_of(RESULTS, UPSTREAM)
    boxes = re.findall(r'href="#step-(m\.\w)"><title>.*?<rect class="(\w+)', text)
    found: dict[str, set[str]] = {}
    for name, color in boxes:
        found.setdefault(name, set()).add(color)
    assert found == {"m.a": {"failed"}, "m.b": {"failed"}, "m.c": {"succeeded"}, "m.d": {"skipped"}}


def test_the_line_of_an_error_is_marked() -> None:
    (marked,) = re.findall(r"<mark>(.*?)</mark>", report_of(RESULTS, UPSTREAM))
    assert marked.startswith("2  &lt;script&gt;")


def test_each_slot_has_one_step_at_a_time() -> None:
    spans = [Span(f"s{i}", "succeeded", 0, end=i % 7 + 1.0, flight_seconds=1.0) for i in range(20)]
    rows = rows_of(spans, 0)
    assert sorted(span.step for row in rows for span in row) == sorted(it.step for it in spans)
    for row in rows:
        for one, following in itertools.pairwise(row):
            assert one.end <= following.end - following.flight_seconds
    assert len(rows_of(spans, 2)) == 2


def test_what_is_read_stands_to_the_left() -> None:
    reads = {"a": (), "b": (), "c": ("a",), "d": ("a", "c"), "e": ("b", "elsewhere")}
    at = places(reads)
    for name, those in reads.items():
        for it in those:
            assert it == "elsewhere" or at[it].x < at[name].x
    assert len({(it.x, it.y) for it in at.values()}) == len(reads)


@needs_browser
def test_a_browser_shows_it_and_filters_its_steps(tmp_path: Path) -> None:
    """What the page's script does is read from the document that the browser has in the end."""
    page = tmp_path / "report.html"
    typed = (
        "<script>const field = document.querySelector('input[type=search]');"
        "field.value = 'FAILED models/b'; field.dispatchEvent(new Event('input'));</script>"
    )
    page.write_text(report_of(RESULTS, UPSTREAM) + typed, encoding="utf-8")
    document = document_of(page.as_uri(), tmp_path)
    (table,) = re.findall(r'<table id="steps">.*?<tbody>(.*?)</tbody>', document, re.DOTALL)
    rows = re.findall(r"<tr( hidden=\"\")?>.*?id=\"step-(m\.\w)\"", table, re.DOTALL)
    assert {name for hidden, name in rows if not hidden} == {"m.b"}
    assert {name for hidden, name in rows if hidden} == {"m.a", "m.c", "m.d"}
    assert "<title>Run 7f3c of flights</title>" in document


@pytest.mark.slow
def test_a_real_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "models/good.sql": "select 1 as n",
        "models/bad.sql": "select n,\n  error('no') as m\nfrom good",
        "models/below.sql": "select n from bad",
    }
    project = make_project(tmp_path, files)
    assert command(project.root, "report") == 1, "no run has left a journal"
    project.run({"max_concurrent": 2})
    capsys.readouterr()
    assert command(project.root, "report") == 0
    (written,) = (project.root / "target/runs").glob("*.html")
    assert str(written.name) in capsys.readouterr().out
    text = " ".join(" ".join(Reader(written.read_text(encoding="utf-8")).words).split())
    assert "error(&#x27;no&#x27;)" not in text
    assert "error('no') as m" in text
    # A file that has changed since is not the one that failed.
    (project.root / "models/bad.sql").write_text("select 2 as other")
    assert command(project.root, "report", "--output", str(tmp_path / "r.html")) == 0
    assert "2 as other" not in (tmp_path / "r.html").read_text(encoding="utf-8")
