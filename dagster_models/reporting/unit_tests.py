"""The results of unit tests: for the terminal, and for programs as JUnit's XML."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from dagster_models.core.unit_tests import UnitTest
from dagster_models.reporting.row_difference import Row, RowDifference, same
from dagster_models.util.text_table import aligned

#: So many rows of a difference are shown.
_SHOWN = 20
_LONGEST = 60
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

UnitTestState = Literal["passed", "failed", "error", "wrong", "skipped"]
"""What became of a test: "error" if the model could not be built, "wrong" if the test could not,
and "skipped" if another model could not be, on which it rests."""


@dataclass(frozen=True, slots=True)
class UnitTestResult:
    """``difference`` is that of a test that failed, ``error`` what else went wrong."""

    test: UnitTest
    state: UnitTestState
    seconds: float
    difference: RowDifference | None = None
    error: str = ""

    @property
    def said(self) -> str:
        """What is shown below the test's name; "" if it passed."""
        if self.difference is not None:
            return "\n".join(_difference_lines(self.difference))
        return self.error


def exit_code(results: Sequence[UnitTestResult]) -> int:
    """0 if all have passed, 1 if one has not, 2 if one could not be run."""
    states = {result.state for result in results}
    return 2 if "wrong" in states else 1 if states - {"passed", "skipped"} else 0


def terminal_lines(result: UnitTestResult) -> Iterator[str]:
    word = {"passed": "PASS", "failed": "FAIL", "skipped": "SKIP"}.get(result.state, "ERROR")
    yield f"{word} {result.test} ({result.seconds:.2f} s)"
    if result.state != "passed":
        yield f"    {result.test.location}"
        for line in result.said.splitlines():
            yield f"    {line}".rstrip()


def summary(results: Sequence[UnitTestResult], seconds: float) -> str:
    counts = Counter(result.state for result in results)
    words: Mapping[UnitTestState, str] = {
        "passed": "passed",
        "failed": "failed",
        "error": "not built",
        "wrong": "wrong",
        "skipped": "skipped",
    }
    said = [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    return f"{', '.join(said)} in {seconds:.2f} s"


# --- a difference ----------------------------------------------------------------------------


def _difference_lines(found: RowDifference) -> Iterator[str]:
    counts = {
        "-": (len(found.missing), "expected, and not there"),
        "+": (len(found.extra), "there, and not expected"),
        "~": (len(found.changed), "expected -> there"),
    }
    yield "; ".join(f"{mark} {count} {what}" for mark, (count, what) in counts.items() if count)
    lines = [
        *(("~", _changed(*pair)) for pair in found.changed),
        *(("-", [_text(value) for value in row]) for row in found.missing),
        *(("+", [_text(value) for value in row]) for row in found.extra),
    ]
    shown = lines[:_SHOWN]
    table = aligned([found.columns, *(row for _, row in shown)])
    for mark, line in zip((" ", *(mark for mark, _ in shown)), table, strict=True):
        yield f"{mark} {line}".rstrip()
    if len(lines) > len(shown):
        yield f"  and {len(lines) - len(shown)} more"


def _changed(expected: Row, there: Row) -> list[str]:
    return [
        _text(one) if same(one, other) else f"{_text(one)} -> {_text(other)}"
        for one, other in zip(expected, there, strict=True)
    ]


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, str):
        plain = value.isprintable() and value == value.strip() and value not in ("", "NULL")
        text = value if plain else repr(value)
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


# --- JUnit -----------------------------------------------------------------------------------


def junit_xml(results: Sequence[UnitTestResult]) -> str:
    """The results as a file of JUnit's XML: a suite for each file of tests."""
    by_file: dict[str, list[UnitTestResult]] = {}
    for result in results:
        by_file.setdefault(result.test.location.path, []).append(result)
    root = ElementTree.Element("testsuites", _counts(results))
    for path, those in by_file.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": path, **_counts(those)})
        for result in those:
            _case(suite, result)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _counts(results: Sequence[UnitTestResult]) -> dict[str, str]:
    states = [result.state for result in results]
    return {
        "tests": str(len(states)),
        "failures": str(states.count("failed")),
        "errors": str(states.count("error") + states.count("wrong")),
        "skipped": str(states.count("skipped")),
        "time": f"{sum(result.seconds for result in results):.3f}",
    }


def _case(suite: ElementTree.Element, result: UnitTestResult) -> None:
    test = result.test
    known = {
        "classname": str(test.model),
        "name": _xml(test.name),
        "file": test.location.path,
        "line": str(test.location.line),
        "time": f"{result.seconds:.3f}",
    }
    case = ElementTree.SubElement(suite, "testcase", known)
    if result.state != "passed":
        tag = {"failed": "failure", "skipped": "skipped"}.get(result.state, "error")
        text = _xml(result.said)
        message = {"message": text.partition("\n")[0]}
        ElementTree.SubElement(case, tag, message).text = f"{test.location}\n{text}"


def _xml(text: str) -> str:
    """*text* without the characters that XML does not have."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
