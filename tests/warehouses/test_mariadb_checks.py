"""Checks of moments, and what is said of rows that fail, in MariaDB's own words.

That each other kind finds what Python counts is asked in test_check_kinds.py.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_models.compilation.checks.task import check_task
from dagster_models.core.messages import CheckOutcome
from dagster_models.core.model import Key, Relation, Target
from dagster_models.core.tasks import ChecksTask
from dagster_models.processes.server.attempt import Stop, run_checks
from dagster_models.warehouses.mariadb import session as mariadb
from dagster_models.warehouses.mariadb.target import MARIADB
from mariadb_server import MariaServer
from project_cases import load, write_project
from systems import System, T, mariadb_system

pytestmark = pytest.mark.nightly
TARGET = Target("x", MARIADB)
YAML = "name: p\ndialect: mysql\n"


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


def checked(
    session: mariadb.MariaSession, folder: Path, checks: Any, history: tuple[float, ...] = ()
) -> list[CheckOutcome]:
    """What checks of s.t find. They stand in the header of a model."""
    header = yaml.safe_dump(checks)
    files = {"dagster_models.yaml": YAML, "models/s/t.sql": f"/* @model\n{header}*/\nselect 1 as v"}
    (step,) = load(write_project(folder, files), environ={}).steps.values()
    project = load(folder, environ={})
    tasks = [check_task(project, step, it, TARGET, history) for it in step.checks]
    return [*run_checks(session, ChecksTask("r", "s.t", 1, T, tuple(tasks)), Stop()).checks]


#: value, its type, the check, whether the row offends; "error" where the query must fail.
CASES = [
    ("'2024-01-01'", "date", "range: {min: 2024-01-01, max: 2024-01-01 00:00:00}", False),
    ("'2024-01-01'", "date", "range: {min: 2024-01-01 00:00:01}", True),
    ("'2024-01-01 00:30:00'", "datetime", "range: {min: 2024-01-01 01:00:00+02:00}", False),
    ("'2023-12-31 22:30:00'", "datetime", "range: {min: 2024-01-01 01:00:00+02:00}", True),
    ("'2024-01-01 00:30:00'", "timestamp null", "range: {min: 2024-01-01 01:00:00}", True),
    ("'2024-01-01 00:30:00'", "timestamp null", "range: {min: 2024-01-01 00:30:00}", False),
    ("'2024-01-01'", "varchar(20)", "range: {min: 2023-01-01}", False),
    ("'soon'", "varchar(20)", "range: {min: 2023-01-01}", "error"),
    ("'10'", "varchar(20)", "range: {min: 9}", False),
    ("9007199254740993", "bigint", "quantile: {at: 0.5, max: 9007199254740992}", True),
    ("'2024-01-01'", "date", "maximum: {max: 2023-12-31}", True),
    ("1", "integer", "stddev: {min: 0}", False),
    ("now() - interval 30 second", "datetime", "recency: 1m", False),
    ("now() - interval 90 second", "datetime", "recency: 1m", True),
    ("now() - interval 90 second", "timestamp null", "recency: 1m", True),
    ("now() - interval 10 day", "date", "recency: 1 week", True),
    ("now() - interval 2 day", "date", "recency: 1 week", False),
    ("now() - interval 20 day", "date", "recency: 1 month", False),
    ("null", "date", "recency: 1 week", True),
    ("'soon'", "varchar(20)", "recency: 1 week", "error"),
    ("20240101", "integer", "recency: 1 week", "error"),
    # MariaDB writes six digits of a FLOAT.
    ("16777213", "float", "accepted_values: [16777213]", False),
    ("16777213", "float", "accepted_values: [16777200]", True),
    ("-1234567.5", "float", "accepted_values: [-1234567.5]", False),
    ("0.1", "float", "accepted_values: [0.1]", False),
    ("0.123456789", "float", "accepted_values: [0.12345679]", False),
    ("0.123456789", "float", "accepted_values: [0.123457]", True),
    ("1.17549435e-38", "float", "accepted_values: [1.1754944e-38]", False),
    ("16777217", "double", "accepted_values: [16777217]", False),
    ("0.30000000000000004", "double", "accepted_values: [0.3]", True),
    (
        "12345678901234567890.5",
        "decimal(30,1)",
        "accepted_values: ['12345678901234567890.5']",
        False,
    ),
    ("0.1", "float", "range: {min: 0.1, max: 0.1}", False),
    ("16777213", "float", "range: {max: 16777212}", True),
    ("16777213", "float", "range: {min: 16777213, max: 16777213}", False),
    ("0.1", "double", "range: {min: 0.1, max: 0.1}", False),
    ("0.1", "decimal(3,1)", "range: {min: 0.1, max: 0.1}", False),
    ("'2024-01-01'", "varchar(20)", "accepted_values: ['2024-01-01', x]", False),
]


def test_values_are_compared_as_what_they_are(
    session: mariadb.MariaSession, tmp_path: Path
) -> None:
    wrong = []
    for number, (value, type_, written, expected) in enumerate(CASES):
        session.execute(f"drop table if exists s.t; create table s.t (v {type_})")
        # A date takes no time of day.
        given = f"cast({value} as date)" if type_ == "date" else value
        session.execute(f"insert into s.t values ({given})")
        header = {"columns": {"v": {"checks": [yaml.safe_load(written)]}}}
        (it,) = checked(session, tmp_path / str(number), header)
        found: bool | str = "error" if it.error else bool(it.failures)
        if found != expected:
            wrong.append((value, type_, written, expected, found, it.error and it.error.message))
    assert wrong == []


def test_quantiles_leave_nulls_out(session: mariadb.MariaSession, tmp_path: Path) -> None:
    session.execute("create table s.t (v int); insert into s.t values (null), (1), (2), (10), (20)")
    checks = [
        {"quantile": {"name": f"at{number}", "at": at, "interpolate": way, "min": low, "max": high}}
        for number, (at, way, low, high) in enumerate(
            [(0, False, 1, 1), (0.5, False, 2, 2), (0.5, True, 6, 6), (1, True, 20, 20)]
        )
    ]
    found = checked(session, tmp_path / "a", {"columns": {"v": {"checks": checks}}})
    assert [(it.failures, it.error) for it in found] == [(0, None)] * 4
    session.execute("delete from s.t")
    found = checked(session, tmp_path / "b", {"columns": {"v": {"checks": checks}}})
    assert [(it.failures, it.found) for it in found] == [(0, "no values")] * 4


def test_anomalies(session: mariadb.MariaSession, tmp_path: Path) -> None:
    session.execute("create table s.t (v int, at_time datetime)")
    session.execute(
        "insert into s.t select nullif(seq, 1), now() - interval 1 hour from s.seq_1_to_4"
    )
    checks = [
        {"anomaly": {"name": "share", "of": "null_share", "column": "v", "within": "20%"}},
        {"anomaly": {"name": "age", "of": "freshness", "column": "at_time", "within": "20%"}},
    ]
    share, _ = checked(session, tmp_path / "a", {"checks": checks}, (0.3,))
    _, age = checked(session, tmp_path / "b", {"checks": checks}, (3600.0,))
    assert (share.value, share.passed) == (0.25, True)
    assert age.value == pytest.approx(3600, abs=30)
    assert age.passed
    share, age = checked(session, tmp_path / "c", {"checks": checks}, (0.5,))
    assert (share.passed, age.passed) == (False, False)
    assert share.found.startswith("0.25")
    session.execute("delete from s.t")
    found = checked(session, tmp_path / "d", {"checks": checks}, (0.5,))
    assert [(it.value, it.found, it.passed) for it in found] == [
        (None, "there is no row", True)
    ] * 2


@pytest.mark.parametrize(
    ("keys", "hours"),
    [
        ("loaded_at: at_time, freshness: {warn: 1h, fail: 3d}", 30),
        ("loaded_at: at_time, freshness: {warn: 1h, fail: 3d, where: r = 'b'}", 50),
        ('loaded_at: "at_time - interval 3 hour", freshness: {warn: 1h, fail: 3d}', 33),
        ("loaded_at_query: select min(at_time) from raw.orders -- all, freshness: {fail: 3d}", 50),
    ],
)
@pytest.mark.parametrize("type_", ["datetime", "timestamp", "date"])
def test_the_age_of_a_source(
    session: mariadb.MariaSession, tmp_path: Path, type_: str, keys: str, hours: int
) -> None:
    now = dt.datetime.now(dt.timezone.utc).replace(microsecond=0, tzinfo=None)

    def at(hours: int) -> dt.datetime:
        found = now - dt.timedelta(hours=hours)
        return dt.datetime.combine(found.date(), dt.time()) if type_ == "date" else found

    session.execute(f"create database raw; create table raw.orders (at_time {type_}, r char)")
    for ago, region in ((50, "b"), (30, "a")):
        session.execute(f"insert into raw.orders values ('{at(ago)}', '{region}')")
    sources = f"sources: [{{name: raw, tables: [{{name: orders, {keys}}}]}}]"
    files = {"dagster_models.yaml": YAML, "models/sources.yaml": sources}
    project = load(write_project(tmp_path, {**files, "models/a.sql": "select 1 as n"}), environ={})
    source = project.sources[Key("raw", "orders")]
    task = check_task(project, source, source.checks[0], TARGET)
    request = ChecksTask("r", "raw.orders", 1, Relation("raw", "orders"), (task,))
    (found,) = run_checks(session, request, Stop()).checks
    assert found.error is None, found.error
    newest = at(30) - dt.timedelta(hours=3) if hours == 33 else at(hours)
    assert found.failures == pytest.approx((now - newest).total_seconds(), abs=30)
    assert f"{found.failures} s" in found.found


def test_rows_that_fail_are_shown(session: mariadb.MariaSession, tmp_path: Path) -> None:
    session.execute("create table s.t (v int, at_time datetime(6), b varbinary(3), j json)")
    session.execute("""insert into s.t values (1, '2024-01-01', 'x', '{"a": 1}')""")
    (it,) = checked(session, tmp_path, {"columns": {"v": {"checks": [{"range": {"min": 2}}]}}})
    assert it.sample_columns == ("v", "at_time", "b", "j")
    assert it.sample == (("1", "2024-01-01 00:00:00.000000", "x", '{"a": 1}'),)
