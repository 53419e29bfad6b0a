"""docs/deployment.md: the instance is one, and the image's command serves a project."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml
from dagster import DagsterInstance
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.server import wait_for_grpc_server
from psycopg.conninfo import conninfo_to_dict

from cli_cases import run
from commands import DAGSTER
from pages import Page
from running import make_project

PAGE = Page.of("deployment.md")


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 7


def test_the_instance(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one that Dagster starts, on a real server."""
    config = PAGE.section("The instance").block("yaml")
    at = conninfo_to_dict(postgres_dsn)
    for name in ("host", "port", "user", "password", "dbname"):
        variable = "DAGSTER_PG_" + name.removesuffix("name").upper()
        monkeypatch.setenv(variable, str(at.get(name, "")))
    (tmp_path / "dagster.yaml").write_text(config)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.run_storage).__module__.startswith("dagster_postgres")
        assert instance.get_runs_count() == 0
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled


@pytest.mark.slow
def test_the_image(tmp_path: Path) -> None:
    """Its check passes on a project, and its command serves it to a workspace."""
    file = PAGE.section("Docker").block("dockerfile")
    lines = dict(line.split(" ", 1)[::-1] for line in file.splitlines())
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"})
    assert run(project.root, *shlex.split(next(it for it in lines if "check" in it))[1:]) == 0
    command = json.loads(next(it for it in lines if it.startswith("[")))
    (port,) = [it for it in lines if it.isdigit()]
    assert port == command[command.index("--port") + 1]
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        free = str(found.getsockname()[1])
    served = ["127.0.0.1" if it == "0.0.0.0" else free if it == port else it for it in command]
    server = subprocess.Popen([DAGSTER, *served[1:]], cwd=project.root, env=project.env)
    try:
        workspace, services, _ = map(yaml.safe_load, PAGE.section("Docker").blocks("yaml"))
        (location,) = (it["grpc_server"] for it in workspace["load_from"])
        assert location["port"] == int(port)
        assert location["host"] in services["services"]
        client = DagsterGrpcClient(port=int(free), host="127.0.0.1")
        wait_for_grpc_server(server, client, served, timeout=60)
        assert "__repository__" in client.list_repositories()
    finally:
        server.terminate()
        server.wait(30)


def test_kubernetes_serves_the_same_file() -> None:
    values, _ = map(yaml.safe_load, PAGE.section("Kubernetes").blocks("yaml"))
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"][0] == "--python-file"
    assert deployment["port"] == 4000
    assert values["runLauncher"]["type"] == "K8sRunLauncher"


#: What a run needs for its end, as the page says it: `cancel_grace_seconds`, as long to ask the
#: warehouse, and time to report.
GRACE_SECONDS = 2 * 10 + 10


def test_compose_takes_the_services() -> None:
    _, services, _ = map(yaml.safe_load, PAGE.section("Docker").blocks("yaml"))
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(services, json.loads(schema.read_text()))
    flights = services["services"]["flights"]
    assert {it.split(":")[0] for it in flights["volumes"]} == set(services["volumes"])
    assert int(flights["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def test_the_containers_of_runs_get_their_time_and_their_folders() -> None:
    *_, instance = map(yaml.safe_load, PAGE.section("Docker").blocks("yaml"))
    kwargs = instance["run_launcher"]["config"]["container_kwargs"]
    assert kwargs["stop_timeout"] > GRACE_SECONDS
    assert "/tmp" in kwargs["tmpfs"]
    assert kwargs["volumes"] == ["target:/app/target"]


def test_kubernetes_takes_the_pods_of_runs() -> None:
    """The chart passes these two on to the pod of each run as they are."""
    values, claim = map(yaml.safe_load, PAGE.section("Kubernetes").blocks("yaml"))
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    container = {"name": "run", "image": "flights", **run["containerConfig"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "run"},
        "spec": {"containers": [container], **run["podSpecConfig"]},
    }
    for it in (pod, claim):
        import_module("kubernetes_validate").validate(it, "1.33", strict=True)
    assert pod["spec"]["terminationGracePeriodSeconds"] > GRACE_SECONDS
    volumes = {it["name"]: it for it in pod["spec"]["volumes"]}
    assert {it["name"] for it in container["volumeMounts"]} == set(volumes)
    used = volumes["target"]["persistentVolumeClaim"]["claimName"]
    assert used == claim["metadata"]["name"]
