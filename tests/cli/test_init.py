"""``dagster-models init``: what it writes runs, tests itself, and overwrites nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import yaml
from dagster import DagsterInstance

from commands import shell
from dagster_models.cli.main import main
from dagster_models.definitions.stock_event_log import uses_stock_event_log
from dagster_models.storage import PooledSqliteEventLogStorage


@pytest.mark.slow
def test_what_it_prints_runs_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my shop" / "the-shop"
    assert main(["init", str(folder)]) == 0
    head, blank, run, ui = capsys.readouterr().out.splitlines()
    assert head == f"The project the_shop is in {folder}. Run it, and look at it in the UI:"
    assert blank == ""
    assert "Done. PASS=2 " in shell(tmp_path, run)
    home = folder / ".dagster_home"
    assert ui.endswith("dagster dev")
    assert shell(folder, ui.removesuffix("dagster dev") + "printenv DAGSTER_HOME") == f"{home}\n"
    assert not uses_stock_event_log(home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        (ran,) = instance.get_runs()
        assert ran.is_success
        # `dagster-models run` finds the code location as `dagster dev` does.
        origin = ran.remote_job_origin
        assert origin is not None
        assert origin.location_name == "the_shop"
    listed = shell(folder, "dg list defs")
    assert "marts/payments" in listed
    assert "payments_add_up" in listed


@pytest.mark.nightly
def test_it_reads_what_is_attached(tmp_path: Path) -> None:
    """As docs/sources_elsewhere.md has it, by commands alone: a DuckDB file, a folder of Parquet
    files with partitions, and one of CSV files."""
    shell(tmp_path, "dagster-models init shop")
    root, crm = tmp_path / "shop", tmp_path / "crm.duckdb"
    for folder in ("lake/sales/day=2026-01-01", "rates"):
        (root / "data" / folder).mkdir(parents=True)
    with closing(duckdb.connect(str(crm))) as there:
        there.execute("create table customers as select 1 as customer, 'Ada' as name")
        sales = root / "data" / "lake" / "sales" / "day=2026-01-01"
        there.execute(f"copy (select 1 as customer, 2.5::double as price) to '{sales}/a.parquet'")
    (root / "data" / "rates" / "usd.csv").write_text("day,rate\n2026-01-01,1.10\n")
    text = (root / "dagster_models.yaml").read_text()
    attach = "attach: {crm: ../crm.duckdb, lake: {files: data/lake}, rates: {files: data/rates"
    written = text.replace(
        "path: target/shop.duckdb}", f"path: target/shop.duckdb, {attach}, csv: text}}}}}}"
    )
    assert written != text
    (root / "dagster_models.yaml").write_text(written)
    names = {"crm": "customers", "lake": "sales", "rates": "usd"}
    sources = [
        {"name": name, "catalog": name, "schema": "main", "tables": [table]}
        for name, table in names.items()
    ]
    (root / "models/sources.yaml").write_text(yaml.safe_dump({"sources": sources}))
    (root / "models/marts/revenue.sql").write_text(
        "select name, day, rate, sum(price) as price from lake.main.sales as s"
        " join crm.main.customers using (customer) join rates.main.usd using (day)"
        " group by all"
    )
    assert "No errors in 3 steps" in shell(root, "dagster-models check")
    for price in ("2.5", "5.0"):
        assert "Done. PASS=1 " in shell(root, "dagster-models run marts.revenue")
        shown = shell(root, "dagster-models sql 'from marts.revenue'")
        assert shown.splitlines()[2].split() == ["Ada", "2026-01-01", "1.10", price]
        (sales / "b.parquet").write_bytes((sales / "a.parquet").read_bytes())
    with closing(duckdb.connect(str(crm))) as there:  # nobody holds it when the commands have ended
        there.execute("update customers set name = 'Eve'")
    assert "Eve" in shell(root, "dagster-models sql 'from crm.main.customers'")


def test_its_ci_checks_and_tests_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "data" / "shop"
    assert main(["init", str(folder)]) == 0
    assert f"GitHub reads workflows in {tmp_path / '.github'}" in capsys.readouterr().out
    workflow = yaml.safe_load((folder / ".github/workflows/dagster_models.yml").read_text())
    job = workflow["jobs"]["build"]
    assert job["defaults"]["run"]["working-directory"] == "data/shop"
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert steps[0] == "pip install ."
    assert steps[-1] == "dagster-models run"
    for path in ("dagster_models.yaml", "seeds/orders.yml", "unit_tests/marts.yaml"):
        schema = (folder / path).read_text().splitlines()[0].partition("$schema=")[2]
        assert (folder / path).parent.joinpath(schema).is_file(), "an editor finds the schema"
    monkeypatch.chdir(folder)
    for step in steps[1:-1]:
        program, *arguments = step.split()
        assert program == "dagster-models"
        assert main(arguments) == 0, capsys.readouterr()
    assert "1 passed" in capsys.readouterr().out


def test_it_refuses_a_project_and_keeps_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "1st-project"
    mine = [".gitignore", "definitions.py", "pyproject.toml", "models/mine.sql"]
    for name in mine:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("select 1 as mine\n")
    monkeypatch.chdir(folder)
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    assert ".gitignore is there already and stays as it is" in said
    assert "Add `load_project(Path(__file__).parent)`" in said
    assert "      [tool.dagster]\n" in said
    assert "dagster dev -f definitions.py" in said
    assert "cd " not in said
    assert all((folder / name).read_text() == "select 1 as mine\n" for name in mine)
    assert sorted(it.name for it in (folder / "models").rglob("*")) == ["mine.sql"]
    assert not (folder / "seeds").exists(), "there are models already, and need no example"
    assert "name: my_project\n" in (folder / "dagster_models.yaml").read_text()
    assert main(["check"]) == 0
    assert main(["init"]) == 1
    assert "choose another folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "project")]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err


def test_folders_of_dbt_that_nothing_reads_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("macros/deep/a.sql", "macros/b.sql", "snapshots/c.sql", "tests/fixtures/d.sql"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("select 1")
    for path in ("tests/test_it.py", "analyses/.gitkeep"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    macros = "othing of macros/ is read, and its 2 files of SQL may be meant for dbt"
    assert f"  N{macros}. Here a macro is a function" in said
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert f"macros:1:1: warning: n{macros}\n    Here a macro is a function" in said
    assert "snapshots:1:1: warning: nothing of snapshots/ is read, and its file of SQL" in said
    assert said.count("is read, and") == 2
    (tmp_path / "dbt_project.yml").write_text("name: x")
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert (
        said.count("    `dagster-models import-dbt .` makes a project of a dbt project. Here") == 2
    )
