"""Each key that a file may have is in the documentation: a table of keys without its page fails."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Collection, Iterator, Mapping

import pytest

import dagster_models.project
from dagster_models.core.target_types import own_types
from dagster_models.definitions.component import ModelsComponent
from pages import Page

#: Table of keys -> the pages that have them. A key stands there as `key` or before a colon.
PAGES = {
    "checks.keys.KEYS": ("checks.md",),
    "config.CHECK_KEYS": ("configuration.md",),
    "config.DEFAULT_KEYS": ("configuration.md",),
    "config.HEADER_KEYS": ("configuration.md",),
    "config.PYTHON_CHECK_KEYS": ("checks.md",),
    "config.SINCE_KEYS": ("models.md",),
    "extras.EXPORT_KEYS": ("extras.md",),
    "extras.INDEX_KEYS": ("extras.md",),
    "freshness.AFTER_KEYS": ("dagster.md", "checks.md"),
    "partitions.AUTOMATION_KEYS": ("dagster.md", "partitions.md"),
    "partitions.MODEL_KEYS": ("partitions.md",),
    "partitions.SET_KEYS": ("partitions.md",),
    "promises.CONTRACT_KEYS": ("checks.md", "configuration.md"),
    "retries.RETRIES_KEYS": ("configuration.md",),
    "runner.NEEDS_KEYS": ("python.md",),
    "runner.RAY_KEYS": ("python.md", "configuration.md"),
    "settings.JOB_KEYS": ("configuration.md", "dagster.md"),
    "settings.KEEP_RUNS_KEYS": ("configuration.md",),
    "settings.KEYS": ("configuration.md",),
    "settings.SCHEDULE_KEYS": ("configuration.md", "dagster.md"),
    "source_freshness.FRESHNESS_KEYS": ("checks.md",),
    "sources.FILE_KEYS": ("configuration.md",),
    "sources.SOURCE_KEYS": ("configuration.md",),
    "sources.TABLE_KEYS": ("configuration.md",),
    "templates.JINJA_KEYS": ("jinja.md",),
    "unit_tests.read.TEST_KEYS": ("unit_tests.md",),
    "variables.KEYS": ("runs.md", "references.md"),
}
#: dbt's keys that say nothing here: `version: 2`, and `alias_types: true` of a contract.
IDLE = {"version", "alias_types"}


def tables() -> Iterator[tuple[str, Collection[str]]]:
    """The tables of keys: those public names of the room that are mappings of readers."""
    room = dagster_models.project
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if not re.fullmatch(r"(?:[A-Z]+_)*KEYS", name) or not isinstance(value, Mapping):
                continue
            by_folder = [set(it) for it in value.values() if isinstance(it, dict)]
            if keys := set().union(*by_folder) or set(value):
                yield f"{module.name.removeprefix(f'{room.__name__}.')}.{name}", keys


#: Without those that another module has by importing them.
TABLES = {
    name: keys
    for name, keys in tables()
    if name in PAGES or not any(keys == other for own, other in tables() if own in PAGES)
}


def test_each_table_of_keys_has_a_page() -> None:
    assert set(TABLES) == set(PAGES)


@pytest.mark.parametrize("table", sorted(PAGES))
def test_each_key_is_on_its_page(table: str) -> None:
    text = "\n".join(map(Page.of, PAGES[table]))
    missing = [key for key in TABLES[table] if not is_in(key, text)]
    assert set(missing) <= IDLE


def test_each_setting_of_a_target_and_attribute_of_the_component_is_documented() -> None:
    warehouses = Page.of("warehouses.md")
    settings = {it.name for type_ in own_types().values() for it in type_.settings}
    assert [name for name in sorted(settings) if not is_in(name, warehouses)] == []
    attributes = [field.name for field in dataclasses.fields(ModelsComponent)]
    page = Page.of("dagster.md")
    assert [name for name in attributes if not is_in(name, page)] == []


def is_in(key: str, text: str) -> bool:
    return re.search(rf"`{re.escape(key)}`|(?<![\w-]){re.escape(key)}:", text) is not None
