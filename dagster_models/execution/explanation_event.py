"""Why a run took as long as it did, as the last event of the run's page in Dagster."""

from __future__ import annotations

from base64 import b64encode

from dagster import DagsterEvent, MetadataValue

from dagster_models._dagster.events import engine_event
from dagster_models._dagster.types import PlanExecutionContext
from dagster_models.reporting.dagster_text import writable
from dagster_models.reporting.explain import Explanation
from dagster_models.reporting.explain_text import PREFIX, metadata, run_lines, summary
from dagster_models.reporting.path_picture import path_picture
from dagster_models.reporting.results import RunHeader


def explanation_event(
    job: PlanExecutionContext, run: Explanation, header: RunHeader
) -> DagsterEvent:
    """The event. Its metadata has the critical path as a picture, and what the command
    `dagster-models explain` prints, with the commands that show more; the UI shows both in a
    dialog."""
    more = [
        f"dagster-models {command}"
        for command in (f"explain {run.run_id} MODEL", f"report {run.run_id}")
    ]
    lines = [*run_lines(run, header), "", *more]
    text = writable("\n".join(lines))
    shown = {f"{PREFIX}/explain": MetadataValue.md(f"```\n{text}\n```")}
    if picture := path_picture(run):
        data = b64encode(writable(picture).encode()).decode()
        image = f"![The critical path](data:image/svg+xml;base64,{data})"
        shown[f"{PREFIX}/critical_path_picture"] = MetadataValue.md(image)
    return engine_event(job, writable(summary(run)), {**shown, **metadata(run)})
