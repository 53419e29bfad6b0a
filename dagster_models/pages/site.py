"""A project as a site of one folder: its models, columns, checks and lineage, and the last run.

``index.html`` has the frame and the script (site.js), ``data.js`` what there is to show. Both are
read from the disk by a browser; there is no server, and nothing is fetched from elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from dagster_models.core.checks import Check
from dagster_models.core.model import Key, Project, Source, Step
from dagster_models.core.traced import TracedColumn
from dagster_models.pages.document import KIND_OF_CHECK, page
from dagster_models.reporting.journal import JournalContents
from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.wording import changed_rows, check_found, skip_reason

_STYLE = """
body { max-width: none; padding: 0; display: grid; grid-template-columns: 300px 1fr; }
nav { border-right: 1px solid var(--line); height: 100vh; position: sticky; top: 0; padding: 16px;
  overflow: auto; } nav input[type=search] { width: 100%; }
nav ul { list-style: none; padding: 0; margin: 8px 0; }
nav li { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
main { padding: 24px; min-width: 0; }
.model { fill: #3559c7; } .source { fill: #7b8794; } .seed { fill: #2e9e6b; }
.script { fill: #b5651d; }
"""
_BODY = """\
<nav><a href="#/"><b>Overview</b></a> &nbsp; <a href="#/graph">Graph</a>
<input type="search" placeholder="Search names, columns, descriptions" aria-label="Search">
<ul id="found"></ul></nav>
<main></main>
<script src="data.js"></script>"""


def site_files(
    project: Project, run: JournalContents | None, written: dt.datetime
) -> Mapping[str, str]:
    """The files of the site by name. *run* is the last one, if there was any; *written* is the
    moment that the pages show."""
    script = (files(__package__) / "site.js").read_text("utf-8")
    data = json.dumps(_project(project, run, written), ensure_ascii=False, separators=(",", ":"))
    return {
        "index.html": page(project.name, [_BODY], script.replace("</", "<\\/"), _STYLE),
        # A script of its own, as a page from the disk may not read other files.
        "data.js": f"const PROJECT = {data};\n",
    }


def _project(project: Project, run: JournalContents | None, written: dt.datetime) -> dict[str, Any]:
    results = {it.step: it for it in run.steps} if run else {}
    items: list[Step | Source] = [*project.sources.values(), *project.steps.values()]
    number = {item.key: at for at, item in enumerate(items)}
    nodes = []
    for item in items:
        result = results.get(str(item.key))
        nodes.append(
            _source(item, result) if isinstance(item, Source) else _step(item, number, result)
        )
    return {
        "name": project.name,
        "written": f"{written:%Y-%m-%d %H:%M} UTC",
        "run": _run(run),
        "nodes": nodes,
    }


def _run(run: JournalContents | None) -> dict[str, str] | None:
    if run is None or run.header is None:
        return None
    began = dt.datetime.fromtimestamp(run.header.started_at, dt.timezone.utc)
    status = run.end.status if run.end else "not ended"
    return {"status": status, "began": f"{began:%Y-%m-%d %H:%M} UTC", "target": run.header.target}


def _node(
    item: Step | Source, checks: Sequence[Check], result: StepResult | None
) -> dict[str, Any]:
    found = {check.name: check for check in result.checks} if result else {}
    return {
        "key": str(item.key),
        "file": str(item.location),
        "relation": str(item.relation) if item.relation else "",
        "problems": [str(it) for it in item.problems],
        "checks": [_check(check, found.get(check.name)) for check in checks],
        "last": _last(result) if result else None,
    }


def _step(step: Step, number: Mapping[Key, int], result: StepResult | None) -> dict[str, Any]:
    config = step.config
    return {
        **_node(step, step.checks, result),
        "family": step.kind if step.kind in ("seed", "script") else "model",
        "kind": f"python {step.built_as}" if step.kind == "python" else step.built_as,
        "description": config.description,
        "owner": config.owner,
        "tags": config.tags,
        "group": config.group or "",
        "reads": [number[key] for key in step.upstream if key in number and key != step.key],
        "columns": list(_columns(step, number)),
        "sql": step.sql,
    }


def _source(source: Source, result: StepResult | None) -> dict[str, Any]:
    return {
        **_node(source, source.checks, result),
        "family": "source",
        "kind": "source",
        "description": source.description,
        "owner": (),
        "tags": (),
        "group": "",
        "reads": (),
        "columns": [_column(it.name, it.type, it.description) for it in source.columns],
        "sql": "",
    }


def _columns(step: Step, number: Mapping[Key, int]) -> Iterable[dict[str, Any]]:
    """Those that are known from the query, and else those that are declared."""
    declared = {it.name.lower(): it for it in step.config.columns}
    for traced in step.trace.columns:
        if not traced.name:
            continue
        said = declared.pop(traced.name.lower(), None)
        description = said.description if said else ""
        type_ = traced.type or (said.type if said else "")
        yield _column(traced.name, type_, description, _sources(traced, number), traced.reason)
    for it in declared.values():
        yield _column(it.name, it.type, it.description)


def _sources(column: TracedColumn, number: Mapping[Key, int]) -> list[tuple[int, str]]:
    """(number of the node, -1 if it has none, name of its column)."""
    return [(number.get(Key(*name), -1), of) for name, of in column.sources]


def _column(
    name: str,
    type_: str,
    description: str,
    sources: Sequence[tuple[int, str]] = (),
    reason: str = "",
) -> dict[str, Any]:
    return {
        "name": name,
        "type": type_,
        "description": description,
        "sources": sources,
        "reason": reason,
    }


def _check(check: Check, result: CheckResult | None) -> dict[str, Any]:
    return {
        "name": check.name,
        "kind": check.test,
        "columns": check.columns,
        "severity": check.severity,
        "description": check.description,
        "state": KIND_OF_CHECK[result.status] if result is not None else "",
        "found": check_found(result) if result is not None else "",
    }


def _last(result: StepResult) -> dict[str, str]:
    said = skip_reason(result) if result.state == "skipped" else changed_rows(result)
    if result.ended_at is not None:
        ended = dt.datetime.fromtimestamp(result.ended_at, dt.timezone.utc)
        said = f"{said} {ended:%Y-%m-%d %H:%M} UTC".strip()
    return {"state": result.state, "said": said}
