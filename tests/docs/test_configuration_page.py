"""docs/configuration.md names every key that there is, and no other; what it shows is accepted."""

from __future__ import annotations

import re
from pathlib import Path

from dagster_models.project import config, settings, sources
from pages import Page
from project_cases import load, write_project

PAGE = Page.of("configuration.md")


def keys_of_table(title: str) -> dict[str, str]:
    """Key -> the cell after it, of the table of a section."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE.section(title), re.MULTILINE)
    return {key: cell for keys, cell in rows for key in re.findall(r"`([\w-]+)`", keys)}


def test_every_key_of_a_header_and_of_the_defaults() -> None:
    told = keys_of_table("Headers")
    every = {*config.HEADER_KEYS["models"], *config.HEADER_KEYS["scripts"]}
    assert set(told) == every.union(*config.DEFAULT_KEYS.values())
    for key, cell in told.items():
        in_header = {
            folder for folder in ("models", "scripts") if key in config.HEADER_KEYS[folder]
        }
        seeds = {"seeds"} if key in config.DEFAULT_KEYS["seeds"] else set()
        of = {"models", "scripts", "seeds"} if cell == "all" else set()
        of |= {folder for folder in ("models", "scripts", "seeds") if folder in cell}
        assert of == in_header | seeds, key


def test_every_key_of_the_project_file() -> None:
    assert set(keys_of_table("dagster_models.yaml")) == set(settings.KEYS)


def test_every_check_and_every_key_of_a_check_and_a_source() -> None:
    text = PAGE.section("Checks")
    for name in config.CHECK_KEYS:
        assert f"`{name}`" in text
    text = PAGE.section("Sources")
    for name in (*sources.FILE_KEYS, *sources.SOURCE_KEYS, *sources.TABLE_KEYS):
        assert f"{name}:" in text or f"`{name}`" in text


def test_what_it_shows_is_accepted(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": "name: flights\n",
        "models/staging/stg_flights.sql": "select 1 as departure, 2 as arrival from raw.flights",
        "models/staging/stg_carriers.sql": "select 'AA' as carrier",
        "models/marts/carriers.sql": PAGE.section("Headers").block("sql"),
        "models/sources.yaml": PAGE.section("Sources").block("yaml"),
        "checks/in_order.sql": PAGE.section("Checks").block("sql"),
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    project = load(tmp_path)
    assert project.warnings == ()
    checks = {check.name for step in project.steps.values() for check in step.checks}
    assert len(checks) == 4


def test_yaml_beside_sql(tmp_path: Path) -> None:
    header = "/* @model\ncolumns: {id: {type: bigint, checks: [unique]}}\n*/ "
    files = {
        "dagster_models.yaml": "name: p",
        "models/shop/orders.sql": f"{header}select id, line from raw.orders",
        "models/shop/_shop.yml": PAGE.section("YAML beside SQL").block("yaml"),
        "seeds/countries.csv": "code\n01",
    }
    project = load(write_project(tmp_path, files))
    assert project.warnings == ()
    assert list(map(str, project.sources)) == ["raw.orders"]
    seed, orders = (project.steps[key] for key in sorted(project.steps))
    assert seed.config.column_types == {"code": "varchar"}
    config = orders.config
    assert (config.description, config.materialized) == ("One row per order.", "table")
    assert (config.tags, config.meta) == (("nightly",), {"team": "sales"})
    assert config.freshness is not None
    (column,) = config.columns
    assert (column.type, column.description) == ("bigint", "The order's number.")
    assert {it.name for it in orders.checks} == {"unique_id", "not_null_id", "unique_id_line"}
