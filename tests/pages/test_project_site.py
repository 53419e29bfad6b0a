"""The site about a project: what it says is what the project says, and a browser shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from browser import document_of, needs_browser
from cli_cases import run as command
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.results import CheckResult, RunHeader, StepResult
from project_cases import write_project

FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders, description: Raw ones.,"
    " columns: {id: {type: int}, amount: {type: double}}}]}]",
    "models/staging/stg.sql": "/* @model\ndescription: |\n  <b>Clean</b> orders.\n\n  & more\n"
    "tags: [nightly]\ncolumns: {id: {description: Its key, checks: [unique]}}\n*/\n"
    "select id, amount * $rate as Total from raw.orders",
    "models/marts/sums.sql": "select id, sum(total) as total from stg group by id",
    "models/marts/code.py": "def model(warehouse):\n    return warehouse.table('sums')\n",
    "dagster_models.yaml": "name: shop\nvars: {rate: {env: RATE, secret: true, type: number}}\n",
}


def site(root: Path) -> tuple[Path, Mapping[str, Any]]:
    assert command(root, "docs") == 0
    folder = root / "target/docs"
    data = (folder / "data.js").read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(data.removeprefix("const PROJECT = ").rstrip(";\n"))
    return folder, found


@pytest.fixture(autouse=True)
def _a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "987654321")


def test_it_says_what_the_project_says(tmp_path: Path) -> None:
    root = write_project(tmp_path, FILES)
    target = root / "target"
    header = RunHeader("r1", "shop", "dev", 1_700_000_000.0, ("staging.stg",), "1")
    with Journal(target, header) as journal:
        checks = (
            CheckResult("unique_id", "error", error=TaskError(ErrorKind.NOT_RUN, "it did not run")),
        )
        result = StepResult(
            "staging.stg", "sql", "view", "failed", ended_at=1_700_000_001.0, checks=checks
        )
        journal.step(result)
        journal.end("failure", [result], 1.0)
    folder, data = site(root)
    nodes = {node["key"]: node for node in data["nodes"]}
    names = [node["key"] for node in data["nodes"]]
    assert set(nodes) == {"raw.orders", "staging.stg", "marts.sums", "marts.code"}
    assert data["run"]["status"] == "failure"
    stg = nodes["staging.stg"]
    assert stg["last"]["state"] == "failed"
    assert [names[it] for it in stg["reads"]] == ["raw.orders"]
    assert [names[it] for it in nodes["marts.code"]["reads"]] == ["marts.sums"]
    assert [(it["name"], it["state"]) for it in stg["checks"]] == [("unique_id", "skipped")]
    (key, total) = stg["columns"]
    assert (key["name"], key["description"], key["type"]) == ("id", "Its key", "INTEGER")
    assert [(names[it], name) for it, name in total["sources"]] == [("raw.orders", "amount")]
    everything = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert "987654321" not in everything
    assert not re.search(r"(?:src|href)=\"https?:", everything)


@needs_browser
def test_a_browser_shows_models_columns_and_the_search(tmp_path: Path) -> None:
    folder, _ = site(write_project(tmp_path / "project", FILES))
    start = (folder / "index.html").as_uri()
    overview = document_of(start, tmp_path)
    assert "#/m/marts.sums" in overview
    model = document_of(f"{start}#/m/staging.stg", tmp_path)
    assert "&lt;b&gt;Clean&lt;/b&gt; orders.</p><p>&amp; more" in model
    assert "#/c/raw.orders/amount" in model
    assert "unique_id" in model
    column = document_of(f"{start}#/c/raw.orders/amount", tmp_path)
    (drawn,) = re.findall(r"<svg.*?</svg>", column, re.DOTALL)
    titles = set(re.findall(r"<title>(.*?)</title>", drawn))
    assert titles == {"raw.orders.amount", "staging.stg.Total", "marts.sums.total"}
    assert "nothing of this name" in document_of(f"{start}#/m/{quote('marts/x')}", tmp_path)
    typed = (
        "<script>const it = document.querySelector('input[type=search]');"
        "it.value = 'TOTAL nightly'; it.dispatchEvent(new Event('input'));</script>"
    )
    page = folder / "typed.html"
    page.write_text((folder / "index.html").read_text(encoding="utf-8") + typed, encoding="utf-8")
    (found,) = re.findall(r'<ul id="found">(.*?)</ul>', document_of(page.as_uri(), tmp_path))
    assert re.findall(r"#/m/([\w.]+)", found) == ["staging.stg"]


@needs_browser
@pytest.mark.slow
def test_a_thousand_models(tmp_path: Path) -> None:
    files = {"models/a/m0.sql": "select 1 as id, 2 as n"}
    for number in range(1, 1000):
        reads = (number - 1) // 3
        files[f"models/a/m{number}.sql"] = f"select id, n + {number} as n from m{reads}"
    folder, _ = site(write_project(tmp_path / "project", files))
    graph = document_of(f"{(folder / 'index.html').as_uri()}#/graph", tmp_path)
    graph = graph[graph.index("<main>") : graph.index("</main>")]
    assert graph.count("<rect") == 1000
    assert graph.count('<path class="edge"') == 999
