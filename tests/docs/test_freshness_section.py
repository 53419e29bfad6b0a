"""The part on freshness of docs/checks.md is true: each block of it is loaded, and asked."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from dagster_models import load_project
from paths import REPOSITORY
from running import make_project

PAGE = (REPOSITORY / "docs" / "checks.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## Freshness\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
(MODEL,) = re.findall(r"^```sql\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
SOURCES = "sources: [{name: raw, tables: [orders]}]"


def test_the_model(tmp_path: Path) -> None:
    files = {"models/sources.yaml": SOURCES, "models/orders.sql": MODEL}
    graph = load_project(make_project(tmp_path, files).root).resolve_asset_graph()
    policy = graph.get(dg.AssetKey(["main", "orders"])).freshness_policy
    assert isinstance(policy, dg.FreshnessPolicy)
