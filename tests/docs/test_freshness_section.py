"""The part on freshness of docs/checks.md is true: each block of it is loaded, and asked."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dagster_models import load_project
from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.sql_text import relation_sql
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import make
from running import make_project

PAGE = Page.of("checks.md")
SECTION = PAGE.section("Freshness")
MODEL, SOURCES, SENT, SCHEDULES = SECTION.blocks("(?:sql|yaml)")


def test_the_model(tmp_path: Path) -> None:
    files = {"models/sources.yaml": SOURCES, "models/orders.sql": MODEL}
    graph = load_project(make_project(tmp_path, files).root).resolve_asset_graph()
    policy = graph.get(dg.AssetKey(["main", "orders"])).freshness_policy
    assert isinstance(policy, dg.FreshnessPolicy)


def test_the_sources_and_what_is_sent_for_one(tmp_path: Path) -> None:
    project = make(tmp_path, {"models/sources.yaml": SOURCES, "models/orders.sql": MODEL})
    assert project.warnings == ()
    found = {key.name: source for key, source in project.sources.items()}
    assert [name for name, source in found.items() if not source.checks] == ["countries"]
    people = found["people"]
    (check,) = people.checks
    target = usable_target(project)
    task = check_task(project, people, check, target)
    name = relation_sql(project, people.key, target)
    # The page breaks the first lines where the SQL has none.
    assert " ".join(task.sent(task.number, name, ()).split()) == " ".join(SENT.split())


def test_the_schedule(tmp_path: Path) -> None:
    settings = f"jobs: {{marts: {{selection: '*'}}}}\n{SCHEDULES}"
    files = {"models/sources.yaml": SOURCES, "models/orders.sql": MODEL}
    definitions = load_project(make_project(tmp_path, files, settings).root)
    assert definitions.resolve_schedule_def("nightly").cron_schedule == "0 6 * * *"
