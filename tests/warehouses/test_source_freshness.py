"""The age of the newest row, beside Python's own arithmetic of moments, and the limits of sources
in our words and dbt's."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.core.messages import CheckOutcome
from dagster_models.core.model import Key, Project, Target
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import ChecksTask
from dagster_models.processes.server.attempt import Stop, run_checks
from dagster_models.warehouses.base import WarehouseSession
from project_cases import make
from systems import System

ORDERS = Key("raw", "orders")


def now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc).replace(microsecond=0)


def project_of(folder: Path, system: System, keys: str) -> Project:
    settings = f"name: p\ndialect: {system.name}\nvars: {{region: emea}}\n"
    sources = f"sources: [{{name: raw, tables: [other, {{name: orders, {keys}}}]}}]"
    files = {"dagster_models.yaml": settings, "models/sources.yaml": sources}
    return make(folder, {**files, "models/a.sql": "select 1 as n"})


def checked(session: WarehouseSession, project: Project, system: System) -> CheckOutcome:
    target = Target("t", target_type(system.name))
    (check,) = project.sources[ORDERS].checks
    task = check_task(project, project.sources[ORDERS], check, target)
    relation = project.sources[ORDERS].relation
    outcome = run_checks(session, ChecksTask("r", "raw.orders", 1, relation, (task,)), Stop())
    (found,) = outcome.checks
    assert found.error is None, found.error
    return found


def moment(hours: float, how: str) -> str:
    """A moment that many hours ago, as SQL."""
    at = now() - dt.timedelta(hours=hours)
    if how == "date":
        return f"date '{at:%Y-%m-%d}'"
    if how == "timestamp":  # a time without a zone is one of UTC
        return f"timestamp '{at:%Y-%m-%d %H:%M:%S}'"
    elsewhere = at.astimezone(dt.timezone(dt.timedelta(hours=-7)))
    return f"timestamptz '{elsewhere:%Y-%m-%d %H:%M:%S}-07:00'"


def age(how: str, hours: float) -> float:
    at = now() - dt.timedelta(hours=hours)
    if how == "date":
        at = at.replace(hour=0, minute=0, second=0)
    return (dt.datetime.now(dt.timezone.utc) - at).total_seconds()


def fill(session: WarehouseSession, *rows: tuple[float, str], how: str = "timestamp") -> None:
    values = ", ".join(f"({moment(hours, how)}, '{region}')" for hours, region in rows)
    session.execute("create schema if not exists raw")
    session.execute(f"create table raw.orders as select * from (values {values}) as v(at_time, r)")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("how", ["timestamp", "timestamptz", "date"])
def test_the_age_is_that_of_the_newest_row_in_each_zone_of_the_session(
    system: System, session: WarehouseSession, tmp_path: Path, how: str, zone: str
) -> None:
    session.execute(f"set timezone = '{zone}'")
    fill(session, (50, "emea"), (30, "emea"), (70, "apac"), how=how)
    keys = "loaded_at: at_time, freshness: {warn: 1h, fail: 3d}"
    found = checked(session, project_of(tmp_path, system, keys), system)
    assert abs(found.failures - age(how, 30)) < 60
    assert (found.severity, found.passed) == ("warn", False)
    assert f"{found.failures} s" in found.found
    session.execute("reset timezone")


@pytest.mark.parametrize("system", ["spark"], indirect=True)
@pytest.mark.parametrize("type_", ["timestamp", "timestamp_ntz", "date"])
def test_the_age_on_spark(
    system: System, session: WarehouseSession, tmp_path: Path, type_: str
) -> None:
    rows = ", ".join(f"('{now() - dt.timedelta(hours=it):%Y-%m-%d %H:%M:%S}')" for it in (50, 30))
    session.execute("create schema if not exists raw")
    cast = f"cast(cast(at as timestamp_ntz) as {type_})"
    session.execute(
        f"create or replace view raw.orders as select {cast} as at_time from values {rows} as v(at)"
    )
    keys = "loaded_at: at_time, freshness: {warn: 1h, fail: 3d}"
    found = checked(session, project_of(tmp_path, system, keys), system)
    assert abs(found.failures - age(type_, 30)) < 60
    assert (found.severity, found.passed) == ("warn", False)
    assert f"{found.failures} s" in found.found


LIMITS = {
    "freshness: {warn: 12h, fail: 24h}": ("warn", "error"),
    "freshness: {fail: 24h}": ("passed", "error"),
    "freshness: {warn: 12h}": ("warn", "warn"),
    "freshness: {warn_after: {count: 720, period: minute}, error_after: {count: 1, period: day}}": (
        "warn",
        "error",
    ),
    "config: {freshness: {error_after: {count: 24, period: hour}}}": ("passed", "error"),
}


@pytest.mark.parametrize("keys", LIMITS)
def test_the_limits(system: System, session: WarehouseSession, tmp_path: Path, keys: str) -> None:
    project = project_of(tmp_path, system, f"loaded_at_field: at_time, {keys}")
    states = []
    for hours in (11.9, 12.1, 23.9, 24.1):
        session.execute("drop table if exists raw.orders")
        fill(session, (hours, "emea"))
        found = checked(session, project, system)
        states.append("passed" if found.passed else found.severity)
    late, very_late = LIMITS[keys]
    assert states == ["passed", late, late, very_late]


def test_a_filter_an_expression_a_query_and_an_empty_table(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    fill(session, (2, "apac"), (30, "emea"))
    cases = {
        "loaded_at: at_time, freshness: {fail: 1d, where: r = $region}": 30,
        "loaded_at: at_time, freshness: {fail: 1d, filter: r = 'apac' -- it is}": 2,
        "loaded_at: \"at_time - interval '3 hours'\", freshness: {fail: 1d}": 5,
        "loaded_at_query: select min(at_time) from raw.orders -- all, freshness: {fail: 1d}": 30,
        "loaded_at_query: select at_time from raw.other, freshness: {fail: 1d}": 9,
    }
    session.execute(f"create table raw.other as select {moment(9, 'timestamp')} as at_time")
    for number, (keys, hours) in enumerate(cases.items()):
        project = project_of(tmp_path / str(number), system, keys)
        found = checked(session, project, system)
        assert abs(found.failures - age("timestamp", hours)) < 60, keys
        assert found.passed is (hours < 24)
    session.execute("delete from raw.orders")
    found = checked(session, project_of(tmp_path / "e", system, next(iter(cases))), system)
    assert (found.passed, found.severity, found.found) == (False, "error", "there is no row")


def test_a_table_overrides_its_source_key_by_key(tmp_path: Path) -> None:
    sources = """
sources:
  - name: raw
    loaded_at_field: _loaded
    freshness: {warn_after: {count: 6, period: hour}, error_after: {count: 1, period: day}}
    tables:
      - name: inherits
      - {name: warns, freshness: {error_after: null}}
      - {name: sooner, loaded_at: at, freshness: {warn: 1h}}
      - {name: never, freshness: null}
"""
    project = make(tmp_path, {"models/sources.yaml": sources, "models/a.sql": "select 1 as n"})
    found = {
        key.name: [
            (dict(it.arguments)["loaded_at"], str(it.warn_if), str(it.error_if))
            for it in source.checks
        ]
        for key, source in project.sources.items()
    }
    assert found == {
        "inherits": [("_loaded", "> 21600", "> 86400")],
        "warns": [("_loaded", "> 21600", "None")],
        "sooner": [("at", "> 3600", "> 86400")],
        "never": [],
    }


@pytest.mark.parametrize("hours", [-0.02, -30])
def test_a_row_of_the_future_is_new(
    system: System, session: WarehouseSession, tmp_path: Path, hours: float
) -> None:
    fill(session, (hours, "emea"))
    keys = "loaded_at: at_time, freshness: {warn: 1h, fail: 3d}"
    found = checked(session, project_of(tmp_path, system, keys), system)
    assert (found.passed, found.failures) == (True, 0)
