"""docs/dagster.md is true: its blocks are loaded, run and heard of, over real HTTP and SMTP."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing.utils import DefsFolderSandbox, create_defs_folder_sandbox

from dagster_models import ModelsComponent, load_project, models_executor
from dagster_models.definitions.template_node import TemplateNode
from pages import Page
from paths import REPOSITORY
from project_cases import without_kinds, write_project
from running import make_project

PAGE = Page.of("dagster.md")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SOURCES = "sources: [{name: raw, tables: [{name: orders}]}]\n"


def block(language: str, holding: str) -> str:
    (found,) = [text for lang, text in BLOCKS if lang == language and holding in text]
    return found


def run_block(holding: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block("python", holding), "docs/dagster.md", "exec"), names)
    return names


MODEL = block("sql", "")
COMPONENT = block("yaml", "type: dagster_models.ModelsComponent")


def test_every_block_is_used_here() -> None:
    # The commands of the only `sh` block are those of tests/definitions/test_dg.py.
    assert [language for language, _ in BLOCKS].count("sh") == 1
    tests = (REPOSITORY / "tests/definitions/test_dg.py").read_text(encoding="utf-8")
    for command in block("sh", "").splitlines():
        words = command.replace("'", "").removeprefix("dg ")
        assert f'"{words}"' in tests, command
    assert block("toml", "code_location_name") in tests
    assert len(BLOCKS) == 1 + 1 + 1 + 5 + 6


# --- the component --------------------------------------------------------------------------------


def put(sandbox: DefsFolderSandbox, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = sandbox.defs_folder_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


#: Dagster's own, of components.
@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated", "ignore:.* is currently in")
def test_the_component(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_TARGET", raising=False)
    with create_defs_folder_sandbox() as sandbox:
        files = {
            "shop/defs.yaml": COMPONENT,
            "shop/dagster_models.yaml": "name: shop\n",
            "shop/models/marts/orders.sql": MODEL,
            "shop/models/staging/people.sql": "select 1 as id",
            "ingest.py": block("python", "orders_from_the_shop"),
            "jobs.py": block("python", '"everything"'),
            "automation.py": block("python", "AutomationConditionSensorDefinition"),
            "alerts.py": block("python", "def slack"),
        }
        put(sandbox, files)
        with sandbox.build_all_defs() as definitions:
            dg.Definitions.validate_loadable(definitions)
            graph = definitions.resolve_asset_graph()
            orders = graph.get(dg.AssetKey(["shop", "marts", "orders"]))
            assert orders.parent_keys == {dg.AssetKey("orders_from_the_shop")}
            assert orders.owners == ["team:finance", "ann@example.com"]
            assert orders.kinds == {"sql", "duckdb", "table", "gold"}
            assert without_kinds(orders.tags) == {"tier": "gold"}
            assert orders.metadata["layer"] == "marts"
            assert orders.metadata["runbook"] == "https://example.com/orders"
            assert orders.freshness_policy is not None
            assert orders.automation_condition == dg.AutomationCondition.eager()
            people = graph.get(dg.AssetKey(["shop", "staging", "people"]))
            assert without_kinds(people.tags) == {"cheap": "yes"}
            assert people.group_name == "staging"
            both = definitions.resolve_job_def("everything")
            assert both.executor_def is models_executor
            assert len(both.asset_layer.selected_asset_keys) == 3
            sensors = {it.name: it.default_status for it in definitions.sensors or ()}
            running = dg.DefaultSensorStatus.RUNNING
            assert sensors == {"slack": running, "default_automation_condition_sensor": running}


@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated", "ignore:.* is currently in")
def test_the_table_of_an_asset_of_somebody_else() -> None:
    with create_defs_folder_sandbox() as sandbox:
        theirs = "import dagster as dg\n\n@dg.asset\ndef orders_from_elsewhere() -> None: ...\n"
        files = {
            "ingest/defs.yaml": block("yaml", "type: dagster.DefsFolderComponent"),
            "ingest/orders.py": theirs,
            "shop/defs.yaml": "type: dagster_models.ModelsComponent\n",
            "shop/dagster_models.yaml": "name: shop\n",
            "shop/models/marts/orders.sql": MODEL,
        }
        put(sandbox, files)
        with sandbox.build_all_defs() as definitions:
            orders = definitions.resolve_asset_graph().get(dg.AssetKey(["marts", "orders"]))
            assert orders.parent_keys == {dg.AssetKey("orders_from_elsewhere")}


def test_the_attributes_and_what_templates_know() -> None:
    (table,) = re.findall(r"^\| attribute .*?(?=^$)", PAGE, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE))))
    assert told == set(ModelsComponent.model().model_fields)
    assert told == set(yaml.safe_load(COMPONENT)["attributes"])
    (sentence,) = re.findall(
        r"A template of `translation` knows `node`, with (.*?), and\n", PAGE, re.S
    )
    named = re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", sentence, flags=re.S))
    assert named == [field.name for field in fields(TemplateNode)]


def test_a_class_of_ones_own() -> None:
    assert issubclass(run_block("class Finance")["Finance"], ModelsComponent)


# --- the project file -----------------------------------------------------------------------------


def test_defaults_links_and_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_REVISION", "4f2a")
    settings = "".join(
        block("yaml", holding) for holding in ("models:\n", "code_url:", "schedules:")
    )
    settings += "targets: {dev: {type: duckdb, path: a.db}, prod: {type: duckdb, path: b.db}}\n"
    files = {
        "dagster_models.yaml": f"name: shop\n{settings}",
        "models/sources.yaml": SOURCES,
        "models/marts/orders.sql": "select * from raw.orders",
    }
    loaded = load_project(write_project(tmp_path, files))
    orders = loaded.resolve_asset_graph().get(dg.AssetKey(["marts", "orders"]))
    assert (orders.owners, without_kinds(orders.tags)) == (["team:finance"], {"tier": "gold"})
    assert orders.automation_condition == dg.AutomationCondition.eager()
    (code,) = orders.metadata["dagster/code_references"].code_references
    assert code.url == (
        "https://github.com/acme/warehouse/blob/4f2a/models_project/models/marts/orders.sql#L1"
    )
    schedule = loaded.resolve_schedule_def("every_morning")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, repository_def=loaded.get_repository_def())
        (run,) = schedule.evaluate_tick(context).run_requests or ()
    assert run.tags["dagster_models/target"] == "prod"
    assert loaded.resolve_job_def("nightly").run_tags["team"] == "finance"


# --- alerts ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.RunFailureSensorContext]:
    """What a sensor is given of a run that has failed."""
    root = make_project(
        tmp_path_factory.mktemp("failed"), {"models/marts/orders.sql": "select 1 / 'x' as n"}
    ).root
    job = load_project(root).resolve_job_def("test")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success
        yield dg.build_run_status_sensor_context(
            sensor_name="alert",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()


@contextmanager
def http_server() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes what is posted to it."""
    bodies: list[bytes] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", bodies
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def smtp_server() -> Iterator[tuple[int, list[str]]]:
    """A server that takes one message, without a password."""
    taken: list[str] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw", encoding="utf-8", newline="\r\n") as file:

            def answer(text: str) -> None:
                file.write(f"{text}\n")
                file.flush()

            answer("220 ready")
            for line in file:
                command = line[:4].upper()
                if command == "DATA":
                    answer("354 go on")
                    taken.append("".join(iter(file.readline, ".\r\n")))
                answer("221 bye" if command == "QUIT" else "250 ok")
                if command == "QUIT":
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], taken
        thread.join()


def test_slack(failed: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch) -> None:
    slack = run_block("def slack")["slack"]
    with http_server() as (url, bodies):
        monkeypatch.setenv("SLACK_WEBHOOK_URL", url)
        slack(failed)
    text = json.loads(bodies[0])["text"]
    assert text.startswith(f"test failed (run {failed.dagster_run.run_id})")
    assert "*marts__orders*" in text
    assert "models/marts/orders.sql:1" in text


def test_the_alert_of_the_start_page(
    failed: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what has failed, and not only that something has."""
    names: dict[str, Any] = {}
    exec(Page.of("index.md").block("python").partition("\ndefs =")[0], names)
    said: list[str] = []
    log = SimpleNamespace(error=said.append)
    monkeypatch.setattr(type(failed), "log", property(lambda context: log))
    names["report"](failed)
    assert said[0].startswith("test failed: ")
    assert "models/marts/orders.sql:1" in said[0]


def test_mail(failed: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = run_block("def mail")["mail"]
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    with smtp_server() as (port, taken):
        for name, value in {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(port),
            "ALERTS_FROM": "dagster@example.com",
            "ALERTS_TO": "data@example.com",
        }.items():
            monkeypatch.setenv(name, value)
        mail(failed)
    (message,) = taken
    assert "Subject: test failed: marts__orders" in message
    assert "models/marts/orders.sql:1" in message
