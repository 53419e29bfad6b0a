"""``dagster_models.yaml``: the keys of the project file, and their values as Settings."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.checks import WHEN
from dagster_models.core.jobs import Job, Schedule
from dagster_models.core.model import EMPTY, KeepRuns, Location, Project, Target
from dagster_models.core.on_ray import USUAL_CLUSTER, RayCluster
from dagster_models.core.partitions import PartitionSet
from dagster_models.core.step_keys import checked_prefix
from dagster_models.project.partitions import read_partition_sets
from dagster_models.project.problems import Noted, Report, problem
from dagster_models.project.runner import cluster
from dagster_models.project.target_settings import read_targets
from dagster_models.project.templates import JinjaSettings, jinja
from dagster_models.project.variables import GivenText, Variables, read_variables
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.dialects.table import OFFERED
from dagster_models.util.environment import VARIABLE, filled, names_in
from dagster_models.util.nearest import suggest
from dagster_models.util.plain_names import NAME

PROJECT_FILE = "dagster_models.yaml"

#: The environment variable that names the target of a run.
TARGET_VARIABLE = "DAGSTER_MODELS_TARGET"

#: The environment variable that goes before ``target_path`` of the project file.
TARGET_PATH_VARIABLE = "DAGSTER_MODELS_TARGET_PATH"


@dataclass(frozen=True, slots=True)
class Settings:
    """The project file as read. ``models``, ``seeds`` and ``scripts`` are defaults by folder, which
    folder_defaults.py reads once the folders are known. ``target_path`` is absolute."""

    name: str
    target_path: str
    dialect: str = "duckdb"
    schema: str = "main"
    targets: Mapping[str, Target] = EMPTY
    default_target: str = "dev"
    variables: Variables = field(default_factory=Variables)
    models: YamlNode | None = None
    seeds: YamlNode | None = None
    scripts: YamlNode | None = None
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    key_prefix: tuple[str, ...] = ()
    partitions: Mapping[str, PartitionSet] = EMPTY
    unknown_references: str = "warn"
    unknown_columns: str = "error"
    unreadable_sql: str = "error"
    load: str = "lenient"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    code_url: str = ""
    ray: RayCluster = USUAL_CLUSTER
    jinja: JinjaSettings | None = None  #: None: there are no templates

    def project(self, root: str) -> Project:
        """The project of this file in the folder *root*, as long as it has no steps."""
        return Project(
            name=self.name,
            root=root,
            target_path=self.target_path,
            dialect=self.dialect,
            targets=self.targets,
            default_target=self.default_target,
            steps={},
            jobs=self.jobs,
            schedules=self.schedules,
            key_prefix=self.key_prefix,
            partitions=self.partitions,
            defaults=self.defaults,
            secrets=self.variables.hidden,
            code_url=self.code_url,
            ray=self.ray,
            strict=self.load == "strict",
        )


def fail_fast(node: YamlNode) -> bool | str:
    if isinstance(node.value, bool) or node.value == "drain":
        return bool(node.value) if isinstance(node.value, bool) else "drain"
    fix = "Allowed: false, true, drain."
    raise BadValue(f"{fields.describe(node)} is not allowed", node.place, fix)


KEEP_RUNS_KEYS: dict[str, Reader] = {"number": fields.Integer(1), "age": fields.seconds}


def keep_runs(node: YamlNode) -> KeepRuns:
    """A number of runs, or a number and an age."""
    if not isinstance(node.value, dict):
        return KeepRuns(number=fields.Integer(1)(node))
    values = fields.values_of(node, KEEP_RUNS_KEYS)
    return KeepRuns(**{"seconds" if key == "age" else key: values[key] for key in values})


def key_prefix(node: YamlNode) -> tuple[str, ...]:
    try:
        return checked_prefix(fields.words(node))
    except ValueError:
        fix = "E.g. `key_prefix: finance`, with letters, digits and _ only."
        raise BadValue(f"{fields.describe(node)} is not allowed", node.place, fix) from None


def code_url(node: YamlNode) -> str:
    url = fields.text(node).rstrip("/")
    if not re.match(r"https?://[^\s/]+", url) or re.search(r"[\s#?]", url):
        fix = "E.g. `code_url: https://github.com/acme/warehouse/blob/main/models_project`."
        raise BadValue(f"{fields.describe(node)} is not a URL of a folder", node.place, fix)
    return url


KEYS: dict[str, Reader] = {
    "name": fields.name,
    "key_prefix": key_prefix,
    "dialect": fields.OneOf(*OFFERED),
    "schema": fields.name,
    "target": fields.text,
    "target_path": fields.text,
    "targets": fields.as_is,
    "vars": fields.as_is,
    "models": fields.as_is,
    "seeds": fields.as_is,
    "scripts": fields.as_is,
    "jobs": fields.as_is,
    "schedules": fields.as_is,
    "partitions": fields.as_is,
    "fail_fast": fail_fast,
    "checks": fields.OneOf(*WHEN),
    "max_concurrent": fields.Integer(1),
    "keep_runs": keep_runs,
    "unknown_references": fields.OneOf("error", "warn", "ignore"),
    "unknown_columns": fields.OneOf("error", "warn", "ignore"),
    "unreadable_sql": fields.OneOf("error", "warn"),
    "code_url": code_url,
    "load": fields.OneOf("strict", "lenient"),
    "ray": cluster,
    "jinja": jinja,
}


#: The keys that say how runs go, and their defaults.
_OF_RUNS: Mapping[str, Any] = {
    "fail_fast": False,
    "checks": "each",
    "max_concurrent": None,
    "keep_runs": KeepRuns(),
}


def read_settings(
    node: YamlNode | None,
    root: str,
    environ: Mapping[str, str],
    report: Report,
    given: GivenText | None = None,
) -> Settings:
    """The settings in the project file; the defaults if there is none. *root* is the project's
    folder, absolute. *environ* fills in ``${X}``, and *given* are values of variables."""
    values = read_mapping(node, KEYS, report)
    top = Location(PROJECT_FILE)
    written = node.value if node is not None and isinstance(node.value, dict) else {}
    if "name" not in values:
        if node is not None and "name" not in written:
            folder = os.path.basename(root)
            example = folder if NAME.match(folder) else "my_project"
            fix = f"Add `name: {example}`."
            report(problem("the project has no name", top, fix))
        values["name"] = "project"
    name = values["name"]
    target_path = _target_path(values.get("target_path"), root, environ)
    if VARIABLE.search(root):
        what = f"settings would take a part of the project's folder, {root}, for a variable"
        report(problem(what, top, "Rename the folder: it must not contain `${...}`."))
    elif unset := names_in(target_path):
        place = written["target_path"].place if "target_path" in written else top
        what = f"`target_path` needs the environment variable {', '.join(unset)}"
        fix = f"Set it where Dagster runs, or set {TARGET_PATH_VARIABLE}."
        report(problem(what, place, fix))
    targets = read_targets(values.get("targets"), name, root, target_path, environ, report)
    default = environ.get(TARGET_VARIABLE) or _default_target(
        values.get("target"), targets, node, report
    )
    jobs = _read_jobs(values.get("jobs"), name, report)
    schedules = _read_schedules(values.get("schedules"), [job.name for job in jobs], report)
    variables = read_variables(values.get("vars"), environ, given, report)
    url = filled(values.get("code_url", ""), environ)
    return Settings(
        name=name,
        target_path=target_path,
        dialect=values.get("dialect", "duckdb"),
        schema=values.get("schema", "main"),
        targets=targets,
        default_target=default,
        variables=variables,
        **{name: values.get(name) for name in ("models", "seeds", "scripts", "jinja")},
        jobs=jobs,
        schedules=schedules,
        key_prefix=values.get("key_prefix", ()),
        partitions=read_partition_sets(values.get("partitions"), report),
        unknown_references=values.get("unknown_references", "warn"),
        unknown_columns=values.get("unknown_columns", "error"),
        unreadable_sql=values.get("unreadable_sql", "error"),
        load=values.get("load", "lenient"),
        defaults={name: values.get(name, default) for name, default in _OF_RUNS.items()},
        ray=values.get("ray", USUAL_CLUSTER),
        code_url="" if names_in(url) else url,  # where no deployment sets the variable
    )


def target_path_of(node: YamlNode | None, root: str, environ: Mapping[str, str]) -> str:
    """The folder of the project's own files alone, whatever else is wrong in the project file."""
    values = read_mapping(node, KEYS, lambda problem: None)
    return _target_path(values.get("target_path"), root, environ)


def _target_path(written: str | None, root: str, environ: Mapping[str, str]) -> str:
    """The folder in which all is written that this package writes for the project, absolute."""
    path = environ.get(TARGET_PATH_VARIABLE) or filled(written or "", environ) or "target"
    return os.path.normpath(os.path.join(root, os.path.expanduser(path)))


def _default_target(
    written: str | None, targets: Mapping[str, Target], node: YamlNode | None, report: Report
) -> str:
    if written is None:
        if len(targets) == 1 or "dev" in targets or not targets:
            return next(iter(targets)) if len(targets) == 1 else "dev"
        what = f"there are several targets and no default: {', '.join(targets)}"
        place = node.keys["targets"] if node is not None else Location(PROJECT_FILE)
        report(problem(what, place, f"Add `target: {next(iter(targets))}`."))
        return next(iter(targets))
    if written not in targets and targets:
        place = node.value["target"].place if node is not None else Location(PROJECT_FILE)
        fix = suggest(written, targets, "Targets")
        report(problem(f"there is no target `{written}`", place, fix))
    return written


# --- jobs and schedules ----------------------------------------------------------------------

JOB_KEYS: dict[str, Reader] = {
    "selection": fields.text,
    "description": fields.text,
    "tags": fields.labels,
    "only_checks": fields.boolean,
}
SCHEDULE_KEYS: dict[str, Reader] = {
    "job": fields.text,
    "cron": fields.text,
    "timezone": fields.timezone,
    "execution_timezone": fields.timezone,  # Dagster's word
    "partition": fields.OneOf("last"),
    "lookback": fields.Integer(1),
    "wait_for_fresh": fields.placed_names,
    "status": fields.OneOf("running", "stopped"),
    "tags": fields.labels,
    "description": fields.text,
}


def _read_jobs(node: YamlNode | None, project: str, report: Report) -> tuple[Job, ...]:
    jobs = []
    for name, place, item in fields.named_entries(node, "jobs", report):
        if not NAME.match(name):
            fix = "Use letters, digits and _ only."
            report(problem(f"`{name}` cannot be the name of a job", place, fix))
        jobs.append(
            Job(
                name,
                **read_mapping(item, JOB_KEYS, report),
                location=_place(item, "selection", place),
            )
        )
    return tuple(jobs) or (Job(project, implied=True),)


def _place(node: YamlNode, key: str, otherwise: Location) -> Location:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return item.place if isinstance(item, YamlNode) else otherwise


def _read_schedules(
    node: YamlNode | None, jobs: Collection[str], report: Report
) -> tuple[Schedule, ...]:
    schedules = []
    for name, place, item in fields.named_entries(node, "schedules", report):
        if not NAME.match(name):
            fix = "Use letters, digits and _ only."
            report(problem(f"`{name}` cannot be the name of a schedule", place, fix))
        noted = Noted(report)
        values = read_mapping(item, SCHEDULE_KEYS, noted)
        partition = "partition" in values
        missing = [key for key in ("job", "cron") if key not in values]
        if partition and "cron" in missing:
            missing.remove("cron")
        if missing:
            fix = "Write `{job: name, cron: '0 6 * * *'}`."
            if not noted.problems:
                what = f"schedule `{name}` has no `{'` and no `'.join(missing)}`"
                report(problem(what, place, fix))
        elif values["job"] not in jobs:
            at = item.value["job"].place
            fix = suggest(values["job"], jobs, "Jobs")
            report(problem(f"there is no job `{values['job']}`", at, fix))
        elif "lookback" in values and not partition:
            fix = "Add `partition: last`, or delete it."
            what = "`lookback` counts partitions before the last one, and there is no `partition`"
            report(problem(what, item.keys["lookback"], fix))
        else:
            if partition:
                values = {"cron": "", "timezone": "", **values}
            if "execution_timezone" in values:
                values["timezone"] = values.pop("execution_timezone")
            running = values.pop("status", "stopped") == "running"
            place = _place(item, "cron", place)
            schedules.append(Schedule(name, **values, running=running, location=place))
    return tuple(schedules)
