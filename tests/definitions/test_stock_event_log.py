"""A large project on Dagster's stock event log is warned of it, once, with what to write where."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from dagster_models import load_project
from dagster_models.definitions import stock_event_log
from dagster_models.definitions.stock_event_log import advice_for_run, uses_stock_event_log
from dagster_models.storage import PooledSqliteEventLogStorage
from running import make_project

STORAGES = {
    "": True,
    "telemetry: {enabled: false}\n": True,
    "storage: {sqlite: {base_dir: /tmp/x}}\n": True,
    "storage: {postgres: {postgres_url: x}}\n": False,
    "storage: {custom: {module: m, class: C}}\n": False,
    "event_log_storage: {module: m, class: PooledSqliteEventLogStorage}\n": False,
    "event_log_storage: {module: dagster, class: SqliteEventLogStorage}\n": True,
    "not: [yaml": False,
    "- a list\n": False,
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stock_event_log._said.cache_clear()
    monkeypatch.setattr(stock_event_log, "MANY_ASSETS", 3)
    yield
    stock_event_log._said.cache_clear()


@pytest.mark.parametrize("text", STORAGES)
def test_what_dagster_yaml_chooses(text: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    assert uses_stock_event_log(tmp_path) == STORAGES[text]


def test_a_home_without_dagster_yaml_is_a_stock_one(tmp_path: Path) -> None:
    assert uses_stock_event_log(tmp_path)


@pytest.mark.parametrize(("count", "warned"), [(2, False), (3, True)])
def test_a_load_warns_once_and_its_fix_works(
    count: int,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    project = make_project(tmp_path, {f"models/m{i}.sql": "select 1 as n" for i in range(count)})
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    with caplog.at_level(logging.WARNING, "dagster_models"):
        load_project(project.root)
        load_project(project.root)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == int(warned)
    assert len(advice_for_run(3, stock=True)) == int(not warned)
    if warned:
        (text,) = texts
        config = project.home / "dagster.yaml"
        assert str(config) in text
        fix = text.split("`")[1]
        config.write_text(config.read_text() + fix)
        assert yaml.safe_load(fix)
        with DagsterInstance.from_config(str(project.home)) as instance:
            assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        assert not uses_stock_event_log(project.home)


def test_without_a_home_the_run_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project(tmp_path, {f"models/m{i}.sql": "select 1 as n" for i in range(3)})
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    load_project(project.root)
    assert not caplog.records
    assert advice_for_run(2, stock=True) == advice_for_run(3, stock=False) == []
    assert "PooledSqliteEventLogStorage" in advice_for_run(3, stock=True)[0]
    assert advice_for_run(3, stock=True) == []
