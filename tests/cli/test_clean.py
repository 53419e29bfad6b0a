"""`dagster-models clean --relations`, and what is said of models that have gone, in real runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from dagster_models.cli.main import main
from running import Project, make_project

pytestmark = pytest.mark.slow

TABLES = "select table_schema || '.' || table_name from information_schema.tables"
READER = "/* @model\nmaterialized: table\n*/\nselect n + 1 as n\nfrom staging.old"


def clean(project: Project, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["--project", str(project.root), "clean", "--relations", *options])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def tables(project: Project) -> set[str]:
    with duckdb.connect(str(project.root / "w.duckdb")) as notebook:
        found = notebook.execute(f"{TABLES} where table_schema <> 'dagster_models'").fetchall()
    return {name for (name,) in found}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = "name: test\ntargets:\n  dev: {type: duckdb, path: w.duckdb}\n"
    settings += "  bob: {type: duckdb, path: w.duckdb, schema_prefix: bob_}\n"
    files = {
        "dagster_models.yaml": settings + "target: dev\nmodels: {materialized: table}\n",
        "models/staging/old.sql": "select 1 as n",
        "models/staging/view_of_old.sql": "/* @model\nmaterialized: view\n*/ select n from old",
        "models/marts/reader.sql": READER,
        "models/marts/gone.py": "def model(warehouse): return [{'n': 1}]\n",
    }
    return make_project(tmp_path, files)


def test_a_model_is_renamed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert "have their models" in clean(project, capsys)[1]
    assert not (project.root / "w.duckdb").exists(), "looking makes no database"
    assert project.run({"target": "bob"}).code == 0
    report = project.run()
    assert report.code == 0, report.stdout
    with duckdb.connect(str(project.root / "w.duckdb")) as somebody:
        somebody.execute("create table staging.theirs as select 1 as n")
    everything = tables(project)
    assert clean(project, capsys) == (
        0,
        "All relations that test has built on target dev have their models.\n",
    )

    (project.root / "models/staging/old.sql").rename(project.root / "models/staging/new.sql")
    (project.root / "models/staging/view_of_old.sql").unlink()
    (project.root / "models/marts/gone.py").unlink()
    report = project.run()
    assert report.code != 0, "it would read the rows of the last build, for ever"
    assert "models/marts/reader.sql:5:6: error: `staging.old` was a model" in report.stderr
    code, said = clean(project, capsys, "--yes")
    everything.add("staging.new")
    assert (code, tables(project)) == (1, everything), "a project with errors cleans nothing"

    shutil.rmtree(project.root / "target")  # as in a fresh clone: the warehouse knows all the same
    report = project.run()
    assert report.code != 0
    assert report.states() == {"staging.new": "succeeded", "marts.reader": "failed"}
    assert "models/marts/reader.sql:5: staging.old is what" in report.stdout
    code, said = clean(project, capsys, "--yes")
    assert "kept: models/marts/reader.sql:5:6 reads it" in said
    assert "staging.old" in tables(project)
    assert not {"staging.view_of_old", "marts.gone"} & tables(project)

    project.write({"models/marts/reader.sql": READER.replace("old", "new")})
    assert project.run().code == 0
    code, said = clean(project, capsys)
    assert (code, "table staging.old" in said, "Nothing was dropped" in said) == (0, True, True)
    assert "staging.old" in tables(project)
    with duckdb.connect(str(project.root / "w.duckdb")) as somebody:
        somebody.execute("create view staging.theirs_too as select n from staging.old")
    code, said = clean(project, capsys, "--yes")
    assert "\nNot dropped: staging.old: the view staging.theirs_too reads it\n" in said
    assert (code, "Dropped 0 relations." in said) == (1, True)
    with duckdb.connect(str(project.root / "w.duckdb")) as somebody:
        somebody.execute("drop view staging.theirs_too")
    code, said = clean(project, capsys, "--yes")
    assert (code, "Dropped 1 relation." in said) == (0, True)
    gone = {"staging.old", "staging.view_of_old", "marts.gone"}
    assert tables(project) == (everything | {"staging.new"}) - gone
    assert clean(project, capsys, "--yes")[0] == 0
    code, said = clean(project, capsys, "--target", "bob", "--yes")
    assert (code, "Dropped 3 relations." in said) == (0, True), said
    assert {name for name in tables(project) if name.startswith("bob_")} == {"bob_marts.reader"}


def test_a_source_and_a_replaced_table_are_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run().code == 0
    for name in ("staging/old", "staging/view_of_old"):
        (project.root / f"models/{name}.sql").unlink()
    (project.root / "models/marts/gone.py").unlink()
    sources = "sources: [{name: staging, tables: [{name: old}]}]\n"
    project.write({"models/sources.yaml": sources})
    with duckdb.connect(str(project.root / "w.duckdb")) as somebody:
        somebody.execute("create or replace table marts.gone as select 1 as n")
    before = tables(project)
    code, said = clean(project, capsys, "--yes")
    assert "kept: it is a source (models/sources.yaml:1" in said
    assert "kept: somebody else has replaced it since" in said
    assert tables(project) == before - {"staging.view_of_old"}
    assert code == 0


def test_a_history_is_kept(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    header = "/* @model\nmaterialized: snapshot\nunique_key: n\nstrategy: check\n*/"
    project.write({"models/marts/history.sql": f"{header} select 1 as n"})
    assert project.run().code == 0
    (project.root / "models/marts/history.sql").unlink()
    code, said = clean(project, capsys, "--yes")
    assert (code, "marts.history" in tables(project)) == (0, True), said
    assert "kept: it is the history of a snapshot: drop it by hand" in said
