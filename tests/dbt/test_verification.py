"""What a verification compares, without dbt: relations that were made by hand in two databases,
results of tests, and the copies in which both run."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import duckdb
import pytest

from addresses import duckdb_at
from dagster_models.cli.dbt_databases import FileCopies, SessionSide
from dagster_models.cli.main import main
from dagster_models.cli.verified_runs import DbtRunner
from dagster_models.core.model import Target
from dagster_models.core.target_types import target_type
from dagster_models.dbt.project.entry import BadDbtFile
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.verification.copies import (
    DbtProfile,
    copy_project,
    read_profile,
    rename_database,
)
from dagster_models.dbt.verification.reasons import with_reasons
from dagster_models.dbt.verification.relations import (
    Columns,
    Pair,
    RelationState,
    compared,
    compared_rows,
)
from dagster_models.dbt.verification.tests import FoundResult, compared_tests, results_of
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.session import connect
from dbt_cases import dbt_test, manifest_of, step

PROFILES = "shop: {{target: dev, outputs: {{dev: {{type: duckdb, path: shop.duckdb{more}}}}}}}\n"


def test_sorted_texts_are_compared_as_multisets() -> None:
    random = Random(7)
    for _ in range(200):
        one, other = (sorted(random.choices("abcd", k=random.randrange(6))) for _ in range(2))
        count = compared_rows(one, other)
        expected = (Counter(one) - Counter(other), Counter(other) - Counter(one))
        assert count.only == [sum(it.values()) for it in expected]
        assert count.rows == [len(one), len(other)]


#: What dbt has built, what we have, and what a second run of dbt has.
TABLES = {
    "dbt": """
        rows: values (1), (1), (2)
        types: select 1 as a, 2 as b
        ties: values (1, 2), (2, 1)
        moments: select 1 as id, 10 as at
        gone: select 1 as a
    """,
    "ours": """
        rows: values (1), (2), (2)
        types: select 2 as b, 1::bigint as a
        ties: values (1, 1), (2, 2)
        moments: select 1 as id, 11 as at
    """,
    "again": """
        rows: values (1), (1), (2)
        ties: values (1, 2), (2, 1)
        moments: select 1 as id, 12 as at
    """,
}
EQUAL = """
    equal: select * from (values (1, null, [1.5]), (1, null, [1.5]), (2, 'NULL', [])) as t(a, b, c)
    kinds: select null as a, 'x,1:y' as b, '~' as c, true as d
"""


@dataclass(frozen=True)
class InSchema:
    """A side that is a schema, so that one database is enough."""

    side: SessionSide
    schema: str

    def columns(self, relation: str) -> Columns | str:
        return self.side.columns(f"{self.schema}.{relation}")

    def texts(self, relation: str, columns: Sequence[str]) -> Iterator[str]:
        return self.side.texts(f"{self.schema}.{relation}", columns)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InSchema, ...]]:
    file = tmp_path_factory.mktemp("sides") / "all.duckdb"
    with duckdb.connect(str(file)) as connection:
        for schema, tables in TABLES.items():
            connection.execute(f"create schema {schema}")
            for line in filter(str.strip, (tables + EQUAL).splitlines()):
                name, _, query = line.partition(":")
                connection.execute(f"create table {schema}.{name.strip()} as {query}")
    with connect(duckdb_at(file)) as session:
        side = SessionSide(session, Target("dev", target_type("duckdb")))
        yield tuple(InSchema(side, schema) for schema in TABLES)


def test_relations_are_compared_by_rows_columns_and_types(sides: tuple[InSchema, ...]) -> None:
    theirs, ours, again = sides

    def result(name: str, second: InSchema | None = again) -> tuple[object, ...]:
        found = compared(Pair(name, name, name, name), theirs, ours, lambda: second)
        return found.state, found.rows, found.only, found.columns, found.notes

    state = RelationState
    assert result("equal") == (state.EQUAL, (3, 3), (0, 0), (), ())
    assert result("kinds") == (state.EQUAL, (1, 1), (0, 0), (), ())
    assert result("rows") == (state.DIFFERS, (3, 3), (1, 1), ("col0",), ())
    assert result("moments") == (state.MOMENT, (1, 1), (1, 1), ("at",), ())
    assert result("moments", None) == (state.DIFFERS, (1, 1), (1, 1), ("at",), ())
    same = "each column has the same values, in other rows"
    assert result("ties") == (state.DIFFERS, (2, 2), (2, 2), (), (same,))
    order = "the order of columns: a, b in dbt, b, a here"
    types = "the type of a: INTEGER in dbt, BIGINT here"
    assert result("types") == (state.DIFFERS, (1, 1), (0, 0), (), (order, types))
    failed = Pair("equal", "equal", "equal", "equal", errors=("", "its error"))  # of an old build
    assert compared(failed, theirs, ours, lambda: None).notes == (
        "it was not built here: its error",
    )
    gone = result("gone")
    assert gone[0] is state.DIFFERS
    assert "not built here: CatalogException" in str(gone[4])


def test_what_may_be_the_reason_is_named(sides: tuple[InSchema, ...], tmp_path: Path) -> None:
    theirs, ours, _ = sides
    manifest = manifest_of(
        tmp_path,
        step("rows", raw_code="select random() as col0"),
        step("inner", "model.shop.rows", config={"materialized": "ephemeral"}, relation_name=None),
        step("moments", "model.shop.inner", raw_code="select now()"),
    )
    pairs = [Pair(f"model.shop.{it}", it, it, it) for it in ("rows", "moments")]
    found = [compared(it, theirs, ours, lambda: None) for it in pairs]
    rows, moments = with_reasons(manifest, found)
    assert rows.notes == ("its text has random values",)
    assert moments.notes == ("it reads rows, which differs", "its text asks the clock")


def test_results_of_tests_are_compared_by_their_status(tmp_path: Path) -> None:
    of = "model.shop.a"
    names = ("same", "other", "lost", "unrun", "random", "of_broken", "gone")
    nodes = [dbt_test(of, "unique", it) for it in names]
    nodes.append({**dbt_test(of, "unique", "disabled"), "depends_on": {"nodes": []}})
    nodes[4]["depends_on"]["nodes"] = ["model.shop.moments"]
    nodes[5]["depends_on"]["nodes"] = ["model.shop.broken"]
    manifest = manifest_of(tmp_path, step("a"), *nodes)
    ids = {it["column_name"]: it["unique_id"] for it in nodes}
    fail = FoundResult("fail", 2)
    theirs = {ids[it]: fail for it in names if it != "unrun"}
    passed = FoundResult("pass", 0)
    ours = {
        ids["same"]: [FoundResult("warn", 1), fail],
        **{ids[it]: [passed] for it in ("other", "random", "unrun")},
    }
    left_out = {ids["lost"]: "it needs the warehouse"}
    moments, not_built = {"model.shop.moments"}, {"model.shop.broken"}
    found = compared_tests(manifest, theirs, ours, left_out, moments, not_built)
    results = {it.unique_id: (it.state.value, it.theirs, it.ours, it.note) for it in found}
    lost = ("not compared", "fail (2)", "")
    assert results == {
        ids["same"]: ("equal", "fail (2)", "fail (2)", ""),
        ids["other"]: ("differs", "fail (2)", "pass", ""),
        ids["lost"]: (*lost, "it needs the warehouse"),
        ids["unrun"]: ("not compared", "", "pass", "dbt has not run it"),
        ids["random"]: ("reads what differs between two runs of dbt", "fail (2)", "pass", ""),
        ids["of_broken"]: (*lost, "what it reads was not built here"),
        ids["gone"]: (*lost, "no check of it was found"),
    }


def test_a_check_that_was_moved_is_known_by_its_name_alone() -> None:
    results = {("a", "x"): FoundResult("pass"), ("b", "x"): FoundResult("fail")}
    results |= {("b", "y"): FoundResult("warn")}
    assert results_of([("b", "X")], results) == [FoundResult("fail")]
    assert results_of([("a", "y")], results) == [FoundResult("warn")]
    assert results_of([("c", "x"), ("a", "z")], results) == []


# --- copies -------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    folder = tmp_path / "shop"
    manifest = manifest_of(folder, step("a"), dbt_test("model.shop.a", "unique", "id"))
    (folder / "profiles.yml").write_text(PROFILES.format(more=""))
    (folder / "shop.duckdb").write_bytes(b"data")
    (folder / "models").mkdir()
    (folder / "dbt_packages").mkdir()
    (folder / "models/a.sql").write_text("select 1 as id")
    (folder / "dbt_packages/up").symlink_to("..")
    return manifest


def state(folder: Path) -> dict[str, bytes]:
    return {str(it): it.read_bytes() for it in folder.rglob("*") if it.is_file()}


#: A stand-in for dbt, which writes wherever dbt writes, and notes its arguments.
DBT = f"""#!{sys.executable}
import json, pathlib, shutil, sys
words = sys.argv[1:]
place = {{name: words[words.index(name) + 1] for name in words if name.startswith('--') and
    not words[-1] == name}}
project, target = (pathlib.Path(place[it]) for it in ('--project-dir', '--target-path'))
(project / 'models/a.sql').write_text('written by dbt')
(project / 'logs').mkdir(exist_ok=True)
target.mkdir(exist_ok=True)
shutil.copy(r'{{manifest}}', target / 'manifest.json')
results = [{{'unique_id': 'test.shop.t', 'status': 'pass', 'failures': 0}}]
(target / 'run_results.json').write_text(json.dumps({{'results': results}}))
with open(r'{{log}}', 'a') as log:
    log.write(json.dumps(words) + chr(10))
""".replace("{{", "{").replace("}}", "}")


def stand_in(shop: Manifest, log: Path) -> str:
    """Write the stand-in beside its *log*; return the path of the program."""
    program, manifest = log.with_name("dbt"), shop.target / "manifest.json"
    program.write_text(DBT.replace("{manifest}", str(manifest)).replace("{log}", str(log)))
    program.chmod(0o755)
    return str(program)


def test_dbt_writes_into_copies_alone(shop: Manifest, tmp_path: Path) -> None:
    log, work = tmp_path / "log", tmp_path / "work"
    program = stand_in(shop, log)
    work.mkdir()
    before = state(shop.root)
    copies = FileCopies(shop.root / "shop.duckdb", work, "shop.duckdb")
    database = copies.copy("dbt")
    runner = DbtRunner(program, shop, read_profile(shop, None, "dev"), "{}", work)
    done = runner.run("dbt", database)
    assert state(shop.root) == before
    assert done.tests["test.shop.t"] == FoundResult("pass", 0)
    assert Path(database).read_bytes() == b"data"
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert [it[1] for it in calls] == ["build", "test"]
    profiles = work / "dbt_profile/profiles.yml"
    assert f"path: {database}" in profiles.read_text()
    given = {word for call in calls for word in call if os.sep in word}
    assert given
    assert {it for it in given if not it.startswith(str(work))} == set()


def test_a_copy_of_a_project_has_what_is_read_of_it(shop: Manifest, tmp_path: Path) -> None:
    copy_project(shop.root, tmp_path / "copy")
    assert {it.name for it in (tmp_path / "copy").iterdir()} == {
        *("dbt_project.yml", "profiles.yml", "models", "dbt_packages")
    }
    assert (tmp_path / "copy/dbt_packages/up").readlink() == shop.root


def test_the_files_of_a_copy_name_the_database_that_is_copied(tmp_path: Path) -> None:
    """PostgreSQL knows no other database than that of the session."""
    files = {
        "models/sources.yml": "sources:\n- name: shop\n  database: shop # ours\n  schema: shop\n",
        "models/b.yml": "- {name: x, database: 'shop', tables: []}\r\n- {database: shop_2}\r\n",
        "dbt_project.yml": 'name: shop\nmodels:\n  +database: "shop"',
        "models/a.sql": "{{ config(database='shop', alias='shop') }} select 1 as shop",
        "models/rows.sql": "{% set x %}\nselect * from a where its_database = 'shop'",
        "snapshots/s.sql": '{{ config(target_database = "shop") }}',
        "data/shop.csv": "database: shop",
    }
    changed = {
        "models/sources.yml": "sources:\n- name: shop\n  database: copy # ours\n  schema: shop\n",
        "models/b.yml": "- {name: x, database: 'copy', tables: []}\r\n- {database: shop_2}\r\n",
        "dbt_project.yml": 'name: shop\nmodels:\n  +database: "copy"',
        "models/a.sql": "{{ config(database='copy', alias='shop') }} select 1 as shop",
        "models/rows.sql": files["models/rows.sql"],
        "snapshots/s.sql": '{{ config(target_database = "copy") }}',
        "data/shop.csv": "database: shop",
    }
    for path, text in files.items():
        (tmp_path / "copied" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copied" / path).write_bytes(text.encode())
    (tmp_path / "linked.yml").write_text("database: shop")
    (tmp_path / "copied/models/linked.yml").symlink_to(tmp_path / "linked.yml")
    rename_database(tmp_path / "copied", "shop", "copy")
    assert {it: (tmp_path / "copied" / it).read_bytes().decode() for it in files} == changed
    assert (tmp_path / "linked.yml").read_text() == "database: shop"


def test_on_a_server_dbt_gets_such_files(shop: Manifest, tmp_path: Path) -> None:
    (shop.root / "models/sources.yml").write_text("database: shop")
    before = state(shop.root)
    profile = DbtProfile(
        "shop", "dev", {"type": "postgres", "dbname": "{{ env_var('DB', 'shop') }}"}
    )
    runner = DbtRunner(stand_in(shop, tmp_path / "log"), shop, profile, "{}", tmp_path / "work")
    runner.run("dbt", "shop_dbt")
    assert (tmp_path / "work/dbt_project/models/sources.yml").read_text() == "database: shop_dbt"
    assert state(shop.root) == before


def test_a_profile_with_which_dbt_may_write_elsewhere_is_refused(shop: Manifest) -> None:
    profile = read_profile(shop, None, "unknown")
    assert profile == DbtProfile("shop", "dev", {"type": "duckdb", "path": "shop.duckdb"})
    (shop.root / "profiles.yml").write_text(PROFILES.format(more=", attach: [{path: my.duckdb}]"))
    with pytest.raises(BadDbtFile, match="`attach`, with which dbt may write outside"):
        read_profile(shop, None, "dev")
    (shop.root / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: x}}}")
    with pytest.raises(BadDbtFile, match="'x' cannot be copied"):
        read_profile(shop, None, "dev")


def test_a_database_that_is_open_elsewhere_is_not_copied(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "open.duckdb")).close()
    side = connect(duckdb_at(tmp_path / "open.duckdb"))  # in another process
    with pytest.raises(DagsterModelsError, match="is open in another program"):
        FileCopies(tmp_path / "open.duckdb", tmp_path, "open.duckdb").copy("dbt")
    side.close()


def test_without_dbt_the_error_says_what_to_do(
    shop: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["import-dbt", str(shop.root), "--verify-tables"]) == 1
    error = capsys.readouterr().err
    assert "dbt is not installed" in error
    assert "--against" in error
    assert (shop.root.with_name("shop_models") / ".dagster_models_import/report.json").is_file()
