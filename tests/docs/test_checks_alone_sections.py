"""The parts of docs/checks.md on checks alone and on checks of sources are true."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cli_cases import run as command
from dagster_models import load_project
from pages import Page
from running import make_project
from session_runs import Runs

PAGE = Page.of("checks.md")

#: Whether all four are selected, and whether one is.
SELECTED = {
    "raw.orders+": (True, False),
    "*": (True, False),
    "--exclude raw.orders": (False, True),
}
ORDERS = "/* @model\ncolumns: {order_id: {checks: [not_null]}}\n*/\nselect * from raw.orders"


def key(asset: str, check: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(asset.split(".")), check)


def test_the_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = PAGE.section("Checks alone").block("yaml")
    sources = PAGE.section("Checks of sources").block("yaml")
    files = {"models/marts/orders.sql": ORDERS, "models/sources.yaml": sources}
    project = make_project(tmp_path, files, jobs)

    defs = load_project(project.root)
    every = {
        key("raw.orders", "not_null_order_id"),
        key("raw.orders", "unique_order_id"),
        key("raw.orders", "accepted_values_status"),
        key("marts.orders", "not_null_order_id"),
    }
    morning = defs.resolve_job_def("morning_checks").asset_layer.asset_graph
    assert (morning.asset_check_keys, set(morning.executable_asset_keys)) == (every, set())
    nightly = defs.resolve_job_def("nightly").asset_layer.asset_graph
    assert nightly.asset_check_keys == {key("marts.orders", "not_null_order_id")}

    lines = PAGE.section("Checks alone").block("sh")
    all_of_them, one, storing = (line.partition("#")[0].split()[1:] for line in lines.splitlines())
    assert command(project.root, *all_of_them) == 1
    assert "target dev has no database yet" in capsys.readouterr().err
    assert not project.database.exists()
    runs = Runs(project.root)
    with runs.connect() as session:
        session.execute("create schema raw; create table raw.orders(order_id int, status text)")
        session.execute("insert into raw.orders values (1, 'open'), (2, 'lost')")
    assert runs.run() == {"marts.orders": "built"}
    assert command(project.root, *storing) == 0
    out = capsys.readouterr().out
    assert "Found 4 checks" in out
    assert "WARN check accepted_values_status: 1 of 2 rows (50%)" in out
    with runs.connect() as session:
        session.execute("insert into marts.orders values (null, 'open')")
        before = session.query("select count(*) from dagster_models.commits")
    words = [word if word != "prod" else "dev" for word in one]
    assert command(project.root, *words) == 1
    assert "FAIL check not_null_order_id: 1 of 3 rows" in capsys.readouterr().out
    assert command(project.root, "checks", "raw.orders.not_null_order_id", "unique_order_id") == 0
    assert "Found 2 checks" in capsys.readouterr().out
    assert command(project.root, "checks", "unique_order") == 2
    assert "did you mean the check unique_order_id?" in capsys.readouterr().err
    for words in (["raw.orders+"], ["*"], ["--exclude", "raw.orders"]):
        command(project.root, "checks", *words)
        out = capsys.readouterr().out
        assert ("Found 4 checks" in out, "Found 1 check\n" in out) == SELECTED[" ".join(words)]
    for words in (
        ["raw.orders", "marts.orders", "--exclude", "raw.orders"],
        ["*", "--exclude", "raw.orders"],
    ):
        command(project.root, "checks", *words)
        assert "Found 1 check\n" in capsys.readouterr().out
    command(project.root, "checks", "raw.orders", "--exclude", "unique_order_id")
    assert "Found 2 checks" in capsys.readouterr().out
    with runs.connect() as session:
        assert session.query("select count(*) from dagster_models.commits") == before
