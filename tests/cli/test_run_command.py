"""`dagster-models run` and `retry`: real runs, which Dagster's own UI and API take for its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun

from commands import DAGSTER_MODELS
from dagster_models.cli.main import main
from dagster_models.core.model import Project as Loaded
from dagster_models.definitions.launch import Asked, ProjectLocation, location_of, new_run
from dagster_models.errors import DagsterModelsError, ProjectError, SelectionError
from dagster_models.project.selection import Facts
from running import ENDLESS, Project, make_project

HOME = """telemetry: {enabled: false}
run_coordinator: {module: dagster._core.run_coordinator.sync_in_memory_run_coordinator,
  class: SyncInMemoryRunCoordinator}
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher,
  class: SyncInMemoryRunLauncher}
"""
DEFINITIONS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project, models_executor

@dg.asset
def theirs(): ...

@dg.multi_asset(specs=[dg.AssetSpec("left"), dg.AssetSpec("right")])
def both(): ...

defs = dg.Definitions.merge(
    load_project(Path(__file__).parent, assets=[theirs, both]), dg.Definitions({executor})
)
"""
FILES = {
    "models/a.sql": "select 1 as id",
    "models/bad.sql": "select error('no') as id from a",
    "models/below.sql": "select id from bad",
}
#: A check of a source is in Dagster a definition without an asset.
SOURCES = """
sources: [{name: raw, tables: [{name: o, columns: {id: {checks: [not_null]}}}]}]
"""
GOOD = {"models/bad.sql": "select id from a"}


def command(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [DAGSTER_MODELS, *arguments, "--project", str(project.root)],
        cwd=project.root.parent,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def called(project: Project, *arguments: str) -> tuple[int, str]:
    done = project.dagster_models(*arguments)
    return done.returncode, done.stdout + done.stderr


def runs(project: Project) -> list[DagsterRun]:
    with DagsterInstance.from_config(str(project.home)) as instance:
        return list(instance.get_runs())


#: What the webserver answers of the runs, and of "Re-execute from failure" of the last one.
UI = """
import json, sys
from dagster import DagsterInstance, __version__
from dagster._cli.workspace.cli_target import get_workspace_from_cli_opts
from dagster_graphql.test.utils import execute_dagster_graphql
from dagster_shared.cli import WorkspaceOpts

RUNS = '''{ pipelineOrError(params: {repositoryName: "__repository__",
  repositoryLocationName: "definitions.py", pipelineName: "all"}) {
    ... on Pipeline { runs { runId status } } }
  assetNodes(assetKeys: [{path: ["main", "a"]}]) { assetMaterializations { runId } } }'''
AGAIN = '''mutation($parent: String!) { launchRunReexecution(reexecutionParams:
  {parentRunId: $parent, strategy: FROM_FAILURE}) {
    ... on LaunchRunSuccess { run { runId status stepStats { stepKey status } } }
    ... on PythonError { message } } }'''

if __name__ == "__main__":
    options = WorkspaceOpts(python_file=["definitions.py"])
    with (
        DagsterInstance.get() as instance,
        get_workspace_from_cli_opts(instance, __version__, options, True) as ui,
    ):
        shown = execute_dagster_graphql(ui, RUNS).data
        again = execute_dagster_graphql(ui, AGAIN, {"parent": sys.argv[1]}).data
        print(json.dumps([shown, again]))
"""


def test_a_run_is_the_code_locations_own(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES, "jobs: {all: {}}\n")
    (project.home / "dagster.yaml").write_text(HOME)
    code, said = called(project, "run", "--job", "all", "--target", "dev", "--threads", "1")
    assert code == 1, said
    assert "1 of 3 OK table main.a" in said
    assert "`dagster-models retry`" in said
    code, said = called(project, "retry")
    assert code == 1, said
    assert "1 of 2 ERROR table main.bad" in said, "what has succeeded is not built again"
    retried, first = runs(project)
    assert (retried.parent_run_id, retried.root_run_id) == (first.run_id, first.run_id)
    assert retried.tags["dagster_models/target"] == first.tags["dagster_models/target"] == "dev"
    assert retried.run_config == {"execution": {"config": {"max_concurrent": 1}}}

    project.write(GOOD)
    done = project.python(UI, retried.run_id)
    assert done.returncode == 0, done.stderr
    shown, again = json.loads(done.stdout.splitlines()[-1])
    both = [{"runId": run.run_id, "status": "FAILURE"} for run in (retried, first)]
    assert shown["pipelineOrError"]["runs"] == both
    assert shown["assetNodes"][0]["assetMaterializations"] == [{"runId": first.run_id}]
    run = again["launchRunReexecution"]["run"]
    assert run["status"] == "SUCCESS", again
    assert {it["stepKey"] for it in run["stepStats"]} == {"main__bad", "main__below"}
    code, said = called(project, "retry")
    assert code == 2
    assert "is SUCCESS: only one that has failed or was canceled can go on" in said


def test_ctrl_c_cancels_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": ENDLESS}, "jobs: {all: {}}\n")
    process = command(project, "run")
    assert process.stdout is not None
    next(line for line in process.stdout if "START" in line)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert "1 of 1 CANCEL table main.a" in out
    (run,) = runs(project)
    assert run.status.value == "CANCELED"
    journal = (project.root / "target" / "runs" / f"{run.run_id}.jsonl").read_text()
    assert json.loads(journal.splitlines()[-1])["status"] == "canceled"


DAYS = """/* @model
materialized: incremental
partitions: {by: day, of: days}
*/
select date '2024-01-01' as day"""
REGIONS = DAYS.replace("by: day, of: days", "by: region, of: regions").partition("select")[0]
MORE = {
    "models/daily.sql": DAYS,
    "models/regions.sql": f"{REGIONS}select 'emea' as region",
    "models/sources.yaml": SOURCES,
}
SETTINGS = """partitions:
  days: {every: day, start: 2024-01-01, end: 2024-01-04}
  regions: [emea, apac]
jobs: {some: {selection: "a+"}, days: {selection: daily}}
"""


@pytest.fixture(params=["", "executor=models_executor"])
def location(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProjectLocation]:
    project = make_project(tmp_path, {**FILES, **MORE}, SETTINGS)
    project.write({"definitions.py": DEFINITIONS.format(executor=request.param)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    with location_of(project.root, {}) as found:
        yield found


def asked(location: ProjectLocation, select: str = "", **given: Any) -> DagsterRun:
    run = maybe_asked(location, select, **given)
    assert run is not None
    return run


def maybe_asked(location: ProjectLocation, select: str, **given: Any) -> DagsterRun | None:
    def facts(project: Loaded) -> Facts:
        return Facts(lambda ref: ["main.a"], list)

    values = {"exclude": "", "partition": "", "job": None, "tags": {}, "run_config": {}, **given}
    return new_run(location, Asked(select, **values), facts).run


def names(run: DagsterRun) -> list[str]:
    return sorted(key.path[-1] for key in run.asset_selection or ())


def test_what_a_run_has(location: ProjectLocation) -> None:
    whole = "__ASSET_JOB" in asked(location, "a").job_name
    run = asked(location, "changed+1")
    assert names(run) == ["a", "bad"]
    assert run.job_name == ("__ASSET_JOB" if whole else "some")
    assert maybe_asked(location, "failed+") is None
    assert names(asked(location, "", job="some")) == ["a", "bad", "below"]
    day = asked(location, "daily", partition="2024-01-02", tags={"k": "v"})
    assert day.tags["dagster/partition"] == "2024-01-02"
    assert day.tags["k"] == "v"
    days = asked(location, "daily", partition="2024-01-01..2024-01-03").tags
    assert days["dagster/asset_partition_range_start"] == "2024-01-01"
    assert days["dagster/asset_partition_range_end"] == "2024-01-03"
    assert asked(location, "daily", partition="last").tags["dagster/partition"] == "2024-01-03"
    if whole:
        assert names(asked(location)) == ["a", "bad", "below"], "neither others' nor partitions"
        assert names(asked(location, "theirs a")) == ["a", "theirs"]
        for key in ("left", "right"):
            assert names(asked(location, key)) == ["left", "right"], "they are built together"
    else:
        with pytest.raises(SelectionError, match="merge `Definitions"):
            asked(location, "theirs a")


CANNOT = [
    ({"select": "daily"}, "main/daily is built by the partition: name one with --partition"),
    (
        {"select": "daily", "job": "days", "tags": {"dagster_models/full_refresh": "true"}},
        "last[)]. `--partition 2024-01-01..2024-01-03` builds all of them$",
    ),
    ({"select": "a", "partition": "last"}, "nothing that is selected has partitions"),
    (
        {"select": "daily", "partition": "2023-01-01"},
        "there is no partition 2023-01-01. There are 2024-01-01 to 2024-01-03",
    ),
    (
        {"select": "daily regions", "partition": "last"},
        "and a run has those of one: main/daily, and main/regions. Select those of one",
    ),
    (
        {"select": "regions", "partition": "last"},
        "none is the last one in time. There are emea, apac",
    ),
    ({"select": "daily", "partition": "2024-01-02.."}, "is a range with one end: write both"),
    ({"select": "daily", "partition": "..2024-01-02"}, "is a range with one end: write both"),
    ({"select": "daily", "partition": "2024-01-02..last"}, "there is no partition last. There"),
    ({"select": "a", "job": "nope"}, "there is no job 'nope' in the code location: "),
    ({"select": "a", "job": "days"}, "`a` selects nothing that a run can build"),
    ({"select": "belw"}, "`belw` matches nothing; did you mean below"),
]


#: What a run would refuse as its first act.
CANNOT_BEGIN = [
    ({"select": "a", "tags": {"dagster_models/target": "nope"}}, "there is no target `nope`"),
    ({"select": "a", "tags": {"dagster_models/vars": "{rate: 2}"}}, "there is no variable `rate`"),
    ({"select": "a", "tags": {"dagster_models/defer": "nope"}}, "there is no target `nope`"),
    (
        {"select": "daily", "partition": "2024-01-03..2024-01-02"},
        "'2024-01-02' comes before '2024-01-03' in `days`",
    ),
]


@pytest.mark.parametrize("location", [""], indirect=True)
def test_what_a_run_cannot_have(location: ProjectLocation) -> None:
    for given, error in CANNOT + CANNOT_BEGIN:
        with pytest.raises((SelectionError, ProjectError), match=error):
            asked(location, **given)
    assert next(location.loaded.runs(), None) is None, (
        "a run that cannot begin would be the last one"
    )


def test_a_wrong_number_of_threads_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    project = make_project(tmp_path, {"models/a.sql": "select 1 as id"})
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert main(["--project", str(project.root), "run", "--threads", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "--threads is 0; at least one slot is needed\n"
    assert captured.out == ""


def test_where_the_code_is_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    project = make_project(tmp_path, {"models/a.sql": "select 1 as id"})
    home = pytest.raises(DagsterModelsError, match="DAGSTER_HOME is not set")
    with home, location_of(project.root, {}):
        pass
    (project.root / "definitions.py").unlink()
    code = pytest.raises(DagsterModelsError, match=r"has no definitions\.py")
    with code, location_of(project.root, {}):
        pass


def test_a_project_whose_models_are_all_disabled_has_nothing_to_run(tmp_path: Path) -> None:
    """Dagster makes no job of all assets where there are none."""
    project = make_project(tmp_path, {"models/a.sql": "/* @model\nenabled: false\n*/\nselect 1"})
    code, said = called(project, "run")
    assert code == 2  # nothing was run
    assert "no asset of the project" in said
    assert "Traceback" not in said
