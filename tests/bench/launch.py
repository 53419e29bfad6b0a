"""A launch of many assets in the UI: the time to its answer, and to the start of the first step.

    python tests/bench/launch.py [--models 1000] [--runs 3] [--quick] [--stock]

The project and its Dagster home are what ``dagster-models init`` writes, with models that do
nothing beside its example, and ``dagster dev`` (webserver, code server and daemon) is started by
the command that ``init`` prints. This program then asks what the UI asks when "Materialize all" is
clicked: the assets, the resources of their job, and the launch. The figures are seconds from the
click, which is the moment before the first of these. Each launch is of all assets, and the next one
begins when its run has ended. With ``--stock`` the home has Dagster's own event log, and the
environment none of our settings for it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import asked_for, compile_bytecode, graph_of, query
from figures import Goal, show

ANSWERED = Goal(5, "s")
BIN = Path(sys.executable).parent
ENV = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "DO_NOT_TRACK": "1"}

LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
  __typename ... on PythonError { message }
  ... on RepositoryLocation { name repositories { name assetNodes { assetKey { path } } } }
} } } } }
"""
#: As the webserver's own page words them (LaunchAssetLoaderQuery and what follows it).
ASSETS = """
query($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    id opNames jobNames graphName hasMaterializePermission
    isObservable isExecutable isMaterializable
    partitionDefinition { description type name }
    backfillPolicy { maxPartitionsPerRun }
    assetKey { path }
    assetChecksOrError { ... on AssetChecks { checks { name canExecuteIndividually jobNames } } }
    dependencyKeys { path }
    repository { id name location { id name } }
    requiredResources { resourceKey }
    configField { name isRequired }
  }
  assetNodeAdditionalRequiredKeys(assetKeys: $keys) { path }
  assetNodeDefinitionCollisions(assetKeys: $keys) { assetKey { path } }
}
"""
RESOURCES = """
query($pipelineName: String!, $repositoryLocationName: String!, $repositoryName: String!) {
  resourcesOrError(pipelineSelector: {pipelineName: $pipelineName, repositoryName: $repositoryName,
    repositoryLocationName: $repositoryLocationName}) {
    ... on ResourceConnection { resources { name configField { isRequired } } } } }
"""
LAUNCH = """
mutation($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) { __typename
    ... on LaunchRunSuccess { run { id pipelineName } } ... on PythonError { message } } }
"""
RUN = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { status stats {
  ... on RunStatsSnapshot { startTime stepsSucceeded } } } } }
"""
FIRST_STEP = """
query($id: ID!, $cursor: String) { logsForRun(runId: $id, afterCursor: $cursor, limit: 5000) {
  ... on EventConnection { cursor hasMore events {
    __typename ... on ExecutionStepStartEvent { timestamp } } } } }
"""


@dataclass(frozen=True)
class Launched:
    """Seconds from the click: the launch alone, its answer, and the first step's start."""

    launch: float
    answered: float
    first_step: float


class Page:
    """What the UI asks of its webserver."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """Raises URLError while nobody listens."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            found = json.load(answer)
        if "errors" in found:
            sys.exit(f"{found['errors']}")
        return found["data"]


def write_project(root: Path, models: int, stock: bool = False) -> str:
    """Write the project as a user does; the command that `init` prints for the UI."""
    root.mkdir()
    init = subprocess.run(
        [BIN / "dagster-models", "init"], cwd=root, env=ENV, check=True, capture_output=True
    )
    folder = root / "models" / "bench"
    folder.mkdir()
    for name, deps in graph_of(models).items():
        (folder / f"{name}.sql").write_text(query(deps, lambda dep: dep))
    command = init.stdout.decode().splitlines()[-1]
    if not stock:
        return command
    (root / ".dagster_home/dagster.yaml").write_text("{}")
    return " ".join(it for it in command.split() if not it.startswith("DAGSTER_EVENT_BATCH_SIZE="))


@contextmanager
def dagster_dev(root: Path, command: str) -> Iterator[Page]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (root / "dagster_dev.log").open("w") as log:
        started = f"exec env {command} -h 127.0.0.1 -p {port}"
        process = subprocess.Popen(["sh", "-c", started], cwd=root, env=ENV, stdout=log, stderr=log)
        try:
            page = Page(port)
            _wait_for_webserver(page, process)
            yield page
        except BaseException:
            print((root / "dagster_dev.log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def _wait_for_webserver(page: Page, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            page.ask("{ version }")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    sys.exit("dagster dev ended early")


def repository(page: Page) -> tuple[Mapping[str, str], list[Any]]:
    """The only code location's selector, and the keys of its assets."""
    while True:
        (entry,) = page.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        if entry["loadStatus"] == "LOADED":
            break
        time.sleep(0.2)
    location = entry["locationOrLoadError"]
    if location["__typename"] != "RepositoryLocation":
        sys.exit(location["message"])
    (found,) = location["repositories"]
    selector = {"repositoryLocationName": location["name"], "repositoryName": found["name"]}
    return selector, [node["assetKey"] for node in found["assetNodes"]]


def launch(page: Page, selector: Mapping[str, str], keys: list[Any]) -> Launched:
    clicked = time.time()
    nodes = page.ask(ASSETS, keys=keys)["assetNodes"]
    shared = set.intersection(*(set(node["jobNames"]) for node in nodes))
    job = next(name for name in nodes[0]["jobNames"] if name in shared)
    page.ask(RESOURCES, pipelineName=job, **selector)
    chosen = {**selector, "pipelineName": job, "assetSelection": keys}
    checks = [
        {"assetKey": node["assetKey"], "name": check["name"]}
        for node in nodes
        for check in node["assetChecksOrError"]["checks"]
        if job in check["jobNames"]
    ]
    params = {
        "mode": "default",
        "executionMetadata": {"tags": []},
        "runConfigData": "{}",
        "selector": {**chosen, "assetCheckSelection": checks},
    }
    asked = time.time()
    answer = page.ask(LAUNCH, executionParams=params)["launchPipelineExecution"]
    answered = time.time()
    if answer["__typename"] != "LaunchRunSuccess":
        sys.exit(f"{answer}")
    run = answer["run"]["id"]
    _wait_for_success(page, run, len(keys))
    return Launched(answered - asked, answered - clicked, _first_step(page, run) - clicked)


def _wait_for_success(page: Page, run: str, assets: int) -> None:
    while (found := page.ask(RUN, id=run)["runOrError"])["status"] != "SUCCESS":
        if found["status"] in ("FAILURE", "CANCELED"):
            sys.exit(f"the run ended as {found['status']}")
        time.sleep(0.5)
    assert found["stats"]["stepsSucceeded"] >= assets, found


def _first_step(page: Page, run: str) -> float:
    """Epoch seconds of the first STEP_START."""
    cursor = None
    while True:
        found = page.ask(FIRST_STEP, id=run, cursor=cursor)["logsForRun"]
        for event in found["events"]:
            if event["__typename"] == "ExecutionStepStartEvent":
                return float(event["timestamp"]) / 1000
        cursor = found["cursor"]
        assert found["hasMore"], "no step has started"


def main() -> None:
    stock = "--stock" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--stock"]
    models, runs = asked_for(__doc__, quick=3)
    compile_bytecode()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        command = write_project(root, models, stock)
        with dagster_dev(root, command) as page:
            selector, keys = repository(page)
            found = [launch(page, selector, keys) for _ in range(runs)]
    print(f"launch of {len(keys):,} assets in the UI, from the click, median of {runs}")
    show("the launch is answered", statistics.median(it.answered for it in found), ANSWERED)
    show("of that the launch alone", statistics.median(it.launch for it in found), None, "s")
    show("the first step starts", statistics.median(it.first_step for it in found), None, "s")


if __name__ == "__main__":
    main()
