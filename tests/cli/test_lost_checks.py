"""Which checks a file has that cannot be read is unknown: nothing that runs checks, or what has
changed, may succeed without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_cases import run
from dagster_models import load_project
from dagster_models.cli.selection import facts_of
from dagster_models.definitions.launch import Asked, location_of, new_run
from dagster_models.errors import SelectionError
from project_cases import load
from running import Project, make_project

FILES = {
    "models/good.sql": "/* @model\ncolumns: {id: {checks: [not_null]}}\n*/\nselect 1 as id",
    "seeds/s.csv": "id\n1\n",
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: t}]}]",
}
JOBS = 'jobs: {all_of_them: {selection: "*", only_checks: true}}\n'
UNKNOWN = "sources: [{name: raw, tables: [{name: t, columns: {x: {checks: [uniq]}}}]}]"
BROKEN = [
    ("checks/never.sql", "select * from {{ ref('good') }}", "checks.never"),
    ("checks/empty.sql", "", "checks.empty"),
    ("seeds/s.yml", "seeds:\n - name: s\n  x: [", "seeds.s"),
    ("models/sources.yaml", UNKNOWN, "raw.t"),
    ("models/bare.sql", "", "main.bare"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project(tmp_path, FILES, JOBS)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.mark.parametrize(("path", "text", "name"), BROKEN, ids=[name for *_, name in BROKEN])
def test_checks_are_not_run_without_those_that_are_lost(
    project: Project, capsys: pytest.CaptureFixture[str], path: str, text: str, name: str
) -> None:
    project.write({path: text})
    for words in ((), (name,)):
        assert run(project.root, "checks", *words) == 1
        captured = capsys.readouterr()
        assert path in captured.err
        assert "OK" not in captured.out


@pytest.mark.parametrize(
    ("path", "text", "name"), BROKEN[:3], ids=[name for *_, name in BROKEN[:3]]
)
def test_a_job_of_checks_alone_has_a_step_that_fails(
    project: Project, path: str, text: str, name: str
) -> None:
    project.write({path: text})
    job = load_project(project.root).resolve_job_def("all_of_them")
    chosen = {key.to_user_string().replace("/", ".") for key in job.asset_layer.selected_asset_keys}
    assert chosen == {name}
    assert job.asset_layer.asset_graph.asset_check_keys


def test_a_job_of_checks_alone_builds_nothing_else(project: Project) -> None:
    job = load_project(project.root).resolve_job_def("all_of_them")
    assert not job.asset_layer.selected_asset_keys


@pytest.mark.parametrize("path", ["models/bare.sql", "models/h d.sql", "checks/empty.sql"])
def test_a_file_that_cannot_be_read_has_changed(project: Project, path: str) -> None:
    project.write({path: ""})
    loaded = load(project.root, whole=False)
    (wrong,) = [str(key) for key, step in loaded.steps.items() if step.problems]
    assert wrong in facts_of(loaded, None).changed("")


def test_a_job_of_checks_alone_is_refused_with_the_command_for_them(project: Project) -> None:
    with location_of(project.root, {}) as location:
        asked = Asked("", "", "", "all_of_them", {}, {})
        with pytest.raises(SelectionError, match=r"runs checks alone.*`dagster-models checks`"):
            new_run(location, asked, lambda loaded: facts_of(loaded, None))
