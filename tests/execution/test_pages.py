"""What Dagster's pages show of a run that failed: its asset, check and run events.

One run with ``fail_fast``: `broken` fails its check while `endless` runs, which is canceled.
`below` and `last` are skipped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from dagster_models.cli.main import main
from dagster_models.execution.options import RAN_ON_TAG
from dagster_models.reporting.wording import READS_THE_FORMER
from running import ENDLESS, Project, make_project

SETTINGS = """target: dev
fail_fast: true
jobs: {all: {}}
"""
#: `broken` and `endless` start together, once `ok` is there.
FILES = {
    "models/ok.sql": "select 1 as id",
    "models/endless.sql": f"{ENDLESS}, ok",
    "models/broken.sql": "/* @model\ndescription: Never built.\n"
    "columns: {id: {checks: [unique]}}\n*/\nselect unnest([7, 7, 8]) as id from ok",
    "models/below.sql": "select id from broken",
    "models/last.sql": "select id from below",
}


@dataclass(frozen=True)
class Pages:
    """A finished run in Dagster's event log."""

    run: dg.DagsterRun
    events: list[dg.DagsterEvent]

    def of(self, kind: str) -> dict[str, Any]:
        """Step key -> what is special to its event of this kind."""
        found = [it for it in self.events if it.event_type_value == kind]
        return {it.step_key or "": it.event_specific_data for it in found}

    def observations(self) -> dict[str, dg.AssetObservation]:
        found = self.of("ASSET_OBSERVATION")
        return {step: data.asset_observation for step, data in found.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("pages"), FILES, SETTINGS)


@pytest.fixture(scope="module")
def pages(project: Project) -> Iterator[Pages]:
    repository = ReconstructableRepository.for_file(str(project.root / "definitions.py"), "defs")
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        job = repository.get_reconstructable_job("all")
        assert not dg.execute_job(job, instance).success
        (run,) = instance.get_runs(limit=1)
        logged = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
        yield Pages(run, [event for event in logged if event is not None])


def values(metadata: Any) -> dict[str, Any]:
    return {name.removeprefix("dagster_models/"): it.value for name, it in metadata.items()}


def test_a_skipped_model_says_why_on_the_page_of_its_asset(pages: Pages) -> None:
    seen = pages.observations()["main__last"]
    assert seen.asset_key == dg.AssetKey(["main", "last"])
    path = "main.broken -> main.below -> main.last"
    assert seen.description == f"Skipped: upstream main.broken failed ({path})"
    found = values(seen.metadata)
    assert found["path"] == path
    assert found["root_cause"] == dg.AssetKey(["main", "broken"]), "a link to its page"
    assert (found["state"], found["target"]) == ("skipped", "dev")
    assert (
        values(pages.observations()["main__below"].metadata)["path"] == "main.broken -> main.below"
    )


def test_a_canceled_model_is_no_failed_one(pages: Pages) -> None:
    failures = pages.of("STEP_FAILURE")
    assert set(failures) == {"main__broken", "main__endless"}
    canceled, failed = failures["main__endless"], failures["main__broken"]
    assert canceled.error.message == (
        "Canceled: rolled back; the relation is as before the run (stopped after main.broken"
        " failed)\nTarget: dev\n"
    )
    assert (canceled.error.cls_name, failed.error.cls_name) == ("StepCanceled", "StepFailed")
    assert not canceled.error.stack
    assert canceled.error.cause is None
    told = values(canceled.user_failure_data.metadata)
    assert told["state"] == "canceled"
    assert told["root_cause"] == dg.AssetKey(["main", "broken"])
    assert values(failed.user_failure_data.metadata)["state"] == "failed"
    seen = pages.observations()["main__endless"]
    assert (seen.description or "").startswith("Canceled: rolled back")
    assert "Target" not in (seen.description or ""), "one line; the metadata has it"
    assert values(seen.metadata) == told


def test_a_failure_names_the_target(pages: Pages) -> None:
    failed = pages.of("STEP_FAILURE")["main__broken"]
    assert failed.error.message.endswith("unique_id: 1 row\nTarget: dev\n")
    assert values(failed.user_failure_data.metadata)["target"] == "dev"
    seen = pages.observations()["main__broken"]
    assert values(seen.metadata)["target"] == "dev"
    assert values(seen.metadata)["relation"] == "main.broken"
    assert "unique_id: 1 row" in (seen.description or "")
    built = pages.of("ASSET_MATERIALIZATION")["main__ok"].materialization
    assert values(built.metadata)["target"] == "dev"
    assert set(pages.observations()) == {
        f"main__{n}" for n in ("broken", "below", "last", "endless")
    }
    assert pages.run.tags[RAN_ON_TAG] == "dev", "the list of runs can be filtered by it"


def test_a_failed_check_shows_its_rows_and_its_query(pages: Pages) -> None:
    (check,) = pages.of("ASSET_CHECK_EVALUATION").values()
    assert (check.check_name, check.passed, check.description) == ("unique_id", False, "1 row")
    found = values(check.metadata)
    assert found["target"] == "dev"
    (row,) = check.metadata["failing_rows"].records
    assert row.data == {"unique_field": "7", "n_records": "2"}
    assert found["query"].startswith(f"{READS_THE_FORMER}:\n\n```sql\nselect")


def test_the_page_of_the_run_has_the_critical_path_and_the_explanation(
    pages: Pages, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (last,) = [it for it in pages.events if "on the critical path" in (it.message or "")]
    shown = values(last.engine_event_data.metadata)
    head, _, data = shown["critical_path_picture"].partition("base64,")
    assert head == "![The critical path](data:image/svg+xml;"
    picture = ElementTree.fromstring(base64.b64decode(data.removesuffix(")")))
    texts = {it.text for it in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert set(shown["critical_path"]) < texts

    argv = ["--project", str(project.root), "explain", pages.run.run_id]
    assert main(argv) == 0
    printed = capsys.readouterr().out.strip()
    assert printed
    assert shown["explain"].startswith(f"```\n{printed}\n")
