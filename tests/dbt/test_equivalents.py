"""The tables of docs/coming_from_dbt.md say what an import writes: each row is tried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_models.dbt.checks.placing import place_checks
from dagster_models.dbt.properties.configuration import header_of
from dbt_cases import PlainNames, Texts, dbt_test, manifest_of, step

PAGE = Path(__file__).parents[2] / "docs/coming_from_dbt.md"


def table(heading: str) -> Iterator[tuple[str, str]]:
    """The rows of the first table below a heading of the page."""
    text = PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n### ")[0]
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) == 4 and cells[1].startswith("`{"):
            yield cells[1].strip("`").replace("\\|", "|"), cells[2].strip("`")


@pytest.mark.parametrize(("theirs", "ours"), [*table("Configuration")])
def test_configuration(tmp_path: Path, theirs: str, ours: str) -> None:
    config: dict[str, Any] = yaml.safe_load(theirs)
    kind = "snapshot" if config["materialized"] == "snapshot" else "model"
    manifest = manifest_of(tmp_path, step("a", kind=kind, config=config))
    found = header_of(manifest.nodes[f"{kind}.shop.a"], manifest, Texts(), "duckdb")
    assert bool(found.refused) == (ours == "is refused")
    assert found.refused or found.values == yaml.safe_load(ours)
    if "cluster_by" in config:
        assert found.remarks


@pytest.mark.parametrize(("theirs", "ours"), [*table("Tests")])
def test_tests(tmp_path: Path, theirs: str, ours: str) -> None:
    ((word, given),) = yaml.safe_load(theirs).items()
    test = dbt_test("model.shop.a", word, "id", **given)
    manifest = manifest_of(tmp_path, step("a"), test)
    texts = Texts(**{test["name"]: "select 1"})
    found = place_checks(manifest, PlainNames(manifest), texts)
    assert bool(found.files) == (ours == "is a query")
    if not found.files:
        assert found.declared["model.shop.a"].columns["id"] == [yaml.safe_load(ours)]


def test_the_tables_are_found() -> None:
    assert (len([*table("Configuration")]), len([*table("Tests")])) == (22, 13)
