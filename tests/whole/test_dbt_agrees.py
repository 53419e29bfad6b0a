"""Incremental models and snapshots hold the same rows as dbt's, on the data of dbt's own tests.

They need dbt: see tests/support/real_dbt.py. What is compared is where
both mean the same; where they differ by design, docs/models.md says how.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import yaml

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dbt_profiles import dbt_profile
from paths import SUPPORT
from project_cases import load, write_project
from real_dbt import PYTHON, needs_dbt
from systems import System, session_of

pytestmark = [
    pytest.mark.slow,
    needs_dbt,
]

_attempts = count(1)


class Both:
    """One database with the relations of dbt (schema theirs) and ours (schema ours)."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder = system, folder
        profile = dbt_profile(system, "theirs")
        self.write("theirs/profiles.yml", yaml.safe_dump({"p": profile}))
        self.write("theirs/dbt_project.yml", "name: p\nprofile: p\nversion: '1.0'\n")
        self.write("theirs/packages.yml", "")
        self.sql("create schema theirs")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def texts(self, *places: str) -> list[Any]:
        command = [PYTHON, str(SUPPORT / "dbt_texts.py"), *places]
        found = json.loads(subprocess.check_output(command, text=True))
        return [found[place] for place in places]

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        if self.system.name == "duckdb":
            with duckdb.connect(self.system.settings["path"]) as connection:
                return connection.execute(text).fetchall()
        with psycopg.connect(self.system.settings["dsn"], autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def data(self, text: str) -> None:
        """A text of dbt's tests that changes its data."""
        database = (
            "w" if self.system.name == "duckdb" else self.sql("select current_database()")[0][0]
        )
        self.sql(text.replace("{schema}", "theirs").replace("{database}", f'"{database}"'))

    def dbt(self, command: str) -> dict[str, bool]:
        """Whether each node succeeded."""
        environ = {
            **os.environ,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
        }
        done = subprocess.run(
            [PYTHON, "-m", "dbt.cli.main", command, "--profiles-dir", "."],
            cwd=self.folder / "theirs",
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        results = self.folder / "theirs" / "target" / "run_results.json"
        assert results.exists(), done.stdout + done.stderr
        found = json.loads(results.read_text())["results"]
        results.unlink()
        return {it["unique_id"].split(".")[-1]: it["status"] == "success" for it in found}

    def ours(self, models: Mapping[str, str]) -> dict[str, bool]:
        """Build these models; whether each succeeded."""
        connection = "path" if self.system.name == "duckdb" else "dsn"
        target = {"type": self.system.name, connection: "${PLACE}"}  # a password is no plain text
        tables = [name for (name,) in self.sql(_TABLES)]
        files = {
            "dagster_models.yaml": yaml.safe_dump({"name": "p", "targets": {"dev": target}}),
            "models/sources.yaml": yaml.safe_dump(
                {"sources": [{"name": "theirs", "tables": [{"name": name} for name in tables]}]}
            ),
            **{f"models/ours/{name}.sql": text for name, text in models.items()},
        }
        project = load(write_project(self.folder / "ours", files))
        warehouse = self.system.open()
        succeeded = {}
        with session_of(warehouse) as session:
            session.prepare(["ours"])
            for key, step in project.steps.items():
                task = task_for(
                    TargetStep(project, step, usable_target(project)), "run", next(_attempts)
                )
                assert isinstance(task, BuildTask)
                succeeded[key.name] = run(session, task, Stop()).error is None
        warehouse.close()
        return succeeded

    def rows(self, relation: str, without: Sequence[str] = ()) -> Counter[tuple[str, ...]]:
        schema, _, table = relation.partition(".")
        names = self.sql(
            "select column_name from information_schema.columns where"
            f" table_schema = '{schema}' and table_name = '{table}' order by lower(column_name)"
        )
        kept = [name for (name,) in names if name.lower() not in without]
        listed = ", ".join(f'"{name}"' for name in kept)
        found = self.sql(f"select {listed} from {relation}")
        return Counter(
            tuple(f"{name.lower()}={_plain(it)}" for name, it in zip(kept, row, strict=True))
            for row in found
        )


_TABLES = (
    "select table_name from information_schema.tables where table_schema = 'theirs' order by 1"
)
#: The data is of 2016: what is later is the time of a build.
_NOW = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(days=1)


def _plain(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # as dbt's valid_from of a date is
    return "now" if isinstance(value, datetime) and value > _NOW else str(value)


@pytest.fixture
def both(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    monkeypatch.setenv("PLACE", str(system.settings["path" if system.name == "duckdb" else "dsn"]))
    return Both(system, tmp_path)


# Incremental models ------------------------------------------------------------------------------


FIRST = " where id <= 3"


def keyed(name: str, policy: str, later: str, first: str) -> str:
    """A model that adds the rows of model_a which it does not have; dbt's default strategy."""
    return (
        "/* @model\nmaterialized: incremental\nstrategy: delete+insert\nunique_key: id\n"
        f"on_schema_change: {policy}\n*/\n"
        f"/* @incremental */\nselect {later} from theirs.model_a\n"
        f"where id not in (select id from ours.{name})\n/* @end */\n"
        f"/* @full select {first} from theirs.model_a{'' if policy == 'fail' else FIRST} */"
    )


def texts(*columns: str) -> str:
    return ", ".join(["id", *(f"cast({name} as text) as {name}" for name in columns)])


POLICIES = {
    "incremental_ignore": (
        "ignore",
        "id, field1, field2, field3, field4",
        "id, field1, field2",
    ),
    "incremental_append_new_columns": (
        "append_new_columns",
        texts("field1", "field2", "field3", "field4"),
        texts("field1", "field2"),
    ),
    "incremental_append_new_columns_remove_one": (
        "append_new_columns",
        texts("field1", "field3", "field4"),
        texts("field1", "field2"),
    ),
    "incremental_sync_all_columns": (
        "sync_all_columns",
        texts("field1", "field3", "field4"),
        texts("field1", "field2"),
    ),
    "incremental_sync_remove_only": (
        "sync_all_columns",
        texts("field1"),
        texts("field1", "field2"),
    ),
    "incremental_fail": ("fail", "id, field1, field2", "id, field1, field3"),
}


def test_on_schema_change(both: Both) -> None:
    module = "incremental.fixtures:_MODELS__"
    (model_a, *found) = both.texts(f"{module}A", *(f"{module}{name.upper()}" for name in POLICIES))
    for name, text in zip(("model_a", *POLICIES), (model_a, *found), strict=True):
        both.write(f"theirs/models/{name}.sql", text)
    assert all(both.dbt("run").values())
    models = {name: keyed(name, *more) for name, more in POLICIES.items()}
    assert all(both.ours(models).values())
    theirs = both.dbt("run")
    del theirs["model_a"]
    assert both.ours(models) == theirs == {name: "fail" not in name for name in models}
    for name in models:
        assert both.rows(f"ours.{name}") == both.rows(f"theirs.{name}"), name


LATER = "select * from theirs.seed\n/* @incremental */\nwhere last_visit_date >"
LATER += " (select max(last_visit_date) from ours.{name})\n/* @end */"
UNIQUE = {
    "no_unique_key": "strategy: append",
    "str_unique_key": "strategy: delete+insert\nunique_key: state",
    "unary_unique_key_list": "strategy: delete+insert\nunique_key: [state]",
    "duplicated_unary_unique_key_list": "strategy: delete+insert\nunique_key: [state, state]",
    "not_found_unique_key": "strategy: delete+insert\nunique_key: thisisnotacolumn",
}


@pytest.mark.parametrize("change", ["add_new_rows", "duplicate_insert"])
def test_unique_keys(both: Both, change: str) -> None:
    module = "incremental.test_incremental_unique_id:"
    seed, sql, *found = both.texts(
        f"{module}seeds__seed_csv",
        f"{module}seeds__{change}_sql",
        *(f"{module}models__{name}_sql" for name in UNIQUE),
    )
    both.write("theirs/seeds/seed.csv", seed)
    for name, text in zip(UNIQUE, found, strict=True):
        both.write(f"theirs/models/{name}.sql", text)
    assert all(both.dbt("seed").values())
    assert all(both.dbt("run").values())
    models = {
        name: f"/* @model\nmaterialized: incremental\n{keys}\n*/\n{LATER.format(name=name)}"
        for name, keys in UNIQUE.items()
    }
    both.ours(models)  # a key that is no column fails here already
    both.data(sql)
    assert (
        both.ours(models)
        == both.dbt("run")
        == {name: name != "not_found_unique_key" for name in models}
    )
    for name in models:
        if name != "not_found_unique_key":
            assert both.rows(f"ours.{name}") == both.rows(f"theirs.{name}"), name


# Snapshots ---------------------------------------------------------------------------------------

Step = Callable[[Both], None]
SEED = "select * from theirs.seed"


def snapshot(header: str, sql: str = SEED) -> dict[str, str]:
    return {"taken": f"/* @model\nmaterialized: snapshot\n{header}\n*/\n{sql}"}


def compare(
    both: Both,
    header: str,
    steps: Sequence[str],
    *,
    theirs: str = "snapshot_actual",
    sql: str = SEED,
) -> None:
    """After the first build, and after each of the steps, which are SQL, and a rerun."""
    models = snapshot(header, sql)
    meta = ("dbt_scd_id", "dbt_updated_at", "test_scd_id", "test_updated_at")
    for step in ("", *steps, ""):
        if step:
            both.data(step)
        assert all(both.dbt("snapshot").values()), step
        assert all(both.ours(models).values()), step
        assert both.rows("ours.taken") == both.rows(f"theirs.{theirs}", meta), step


NAMES = "snapshot_meta_column_names: {dbt_valid_from: test_valid_from, dbt_valid_to: test_valid_to}"
DBT_NAMES = (
    "snapshot_meta_column_names: {valid_from: dbt_valid_from, valid_to: dbt_valid_to,"
    " is_deleted: dbt_is_deleted}"
)


@pytest.mark.parametrize("keys", ["", "multi_key_"])
def test_column_names_and_keys(both: Both, keys: str) -> None:
    module = "simple_snapshot.fixtures:"
    create, expected, insert, invalidate, yml, actual, seed = both.texts(
        f"{module}create_{keys}seed_sql",
        f"{module}create_{keys}snapshot_expected_sql",
        f"{module}seed_{keys}insert_sql",
        f"{module}invalidate_{keys}sql",
        f"{module}snapshots_{keys}yml",
        f"{module}snapshot_actual_sql",
        f"{module}model_seed_sql",
    )
    for text in (create, expected, insert):
        both.data(text)
    both.write("theirs/models/snapshots.yml", yml)
    if keys:  # the snapshot is all in YAML, and reads a model of the seed's name
        both.sql("alter table theirs.seed rename to given")
        both.write("theirs/models/seed.sql", seed.replace("seed", "given"))
        both.dbt("run")
        invalidate = invalidate.replace("{schema}.seed", "{schema}.given")
    else:
        both.write("theirs/snapshots/snapshot.sql", actual)
    key = "[id1, id2]" if keys else "[id, first_name]"
    header = f"strategy: timestamp\nupdated_at: updated_at\nunique_key: {key}\n{NAMES}"
    compare(both, header, [invalidate])


@pytest.mark.parametrize("mode", ["check", "timestamp"])
def test_new_records(both: Both, mode: str) -> None:
    module = "simple_snapshot.new_record_timestamp_mode:"
    seeds, actual, invalidate, delete = both.texts(
        f"{module}_seed_new_record_mode_statements",
        f"{module}_snapshot_actual_sql",
        f"{module}_invalidate_sql_statements",
        f"{module}_delete_sql",
    )
    (yml,) = both.texts(f"simple_snapshot.new_record_{mode}_mode:_snapshots_yml")
    for text in seeds:
        both.data(text)
    both.write("theirs/models/snapshots.yml", yml)
    both.write("theirs/snapshots/snapshot.sql", actual)
    more = "\nupdated_at: updated_at" if mode == "timestamp" else ""
    header = (
        f"strategy: {mode}\nunique_key: [id, first_name]\nhard_deletes: new_record\n{DBT_NAMES}"
    )
    compare(both, header + more, [invalidate[0], delete])


FACT = "create table theirs.fact as select * from theirs.seed where id between 1 and 20"
UPDATE = (
    "update theirs.fact set updated_at = updated_at + interval '1 day' where id between 16 and 20"
)
#: The steps of dbt's tests, one after the other. Not the one in which rows come back with an old
#: time: for dbt their new version begins before the old one has ended.
TIMESTAMP_STEPS = [
    UPDATE,
    "insert into theirs.fact select * from theirs.seed where id between 21 and 30",
    "delete from theirs.fact where id between 16 and 20",
]
CHECK_STEPS = [
    "update theirs.fact set last_name = left(last_name, 3) where id between 1 and 10",
    "update theirs.fact set email = left(email, 3) where id between 6 and 15",
]


@pytest.mark.parametrize("mode", ["check", "timestamp"])
def test_simple_snapshots(both: Both, mode: str) -> None:
    module = "simple_snapshot."
    seed, text = both.texts(
        f"{module}seeds:SEED_CSV", f"{module}snapshots:SNAPSHOT_{mode.upper()}_SQL"
    )
    both.write("theirs/seeds/seed.csv", seed.lstrip())
    both.write(
        "theirs/models/fact.sql",
        FACT.partition(" as ")[2].replace("theirs.seed", "{{ ref('seed') }}"),
    )
    both.write("theirs/snapshots/snapshot.sql", text)
    both.dbt("seed")
    both.data(FACT)
    more = {
        "check": "check_cols: [email]",
        "timestamp": "updated_at: updated_at\nhard_deletes: invalidate",
    }[mode]
    header = f"strategy: {mode}\nunique_key: id\n{more}\n{DBT_NAMES}"
    steps = CHECK_STEPS if mode == "check" else TIMESTAMP_STEPS
    compare(both, header, steps, theirs="snapshot", sql="select * from theirs.fact")
