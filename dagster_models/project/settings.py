"""``dagster_models.yaml``: the keys of the project file, checked and made into values."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.model import EMPTY, Job, Location, Schedule, Target
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader, Wrong, problem, read_mapping
from dagster_models.project.yaml.nodes import Marked, Tell
from dagster_models.util.environment import VARIABLE, filled, names_in
from dagster_models.util.nearest import suggest

PROJECT_FILE = "dagster_models.yaml"

#: What each type of warehouse takes beside ``type``, ``threads`` and ``schema_prefix``.
TARGET_TYPES: Mapping[str, Mapping[str, Reader]] = {
    "duckdb": {
        "path": fields.text,
        "memory_limit": fields.text,
        "idle_seconds": fields.seconds,
    },
    "postgres": {
        "dsn": fields.text,
        "host": fields.text,
        "port": fields.integer(1),
        "dbname": fields.text,
        "user": fields.text,
        "password": fields.text,
        "sslmode": fields.text,
        "sslrootcert": fields.text,
        "sslcert": fields.text,
        "sslkey": fields.text,
        "connect_seconds": fields.seconds,
        "lock_timeout": fields.seconds,
        "idle_seconds": fields.seconds,
    },
}
_NUMBERS = ("threads", "idle_seconds", "port", "connect_seconds", "lock_timeout")
#: May hold a password: filled in only by the process that connects, never here.
SECRET_SETTINGS = ("dsn", "password")
#: The dialect in which names and values are written for a warehouse; others: the project's own.
TARGET_DIALECTS: Mapping[str, str] = {"postgres": "postgres"}
#: The environment variable that names the target of a run.
TARGET_VARIABLE = "DAGSTER_MODELS_TARGET"
#: sqlglot's names of the dialects; the parser is asked for no other.
DIALECTS = (
    "athena",
    "bigquery",
    "clickhouse",
    "databricks",
    "duckdb",
    "hive",
    "mysql",
    "oracle",
    "postgres",
    "presto",
    "redshift",
    "snowflake",
    "spark",
    "sqlite",
    "trino",
    "tsql",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The project file as read; ``models``, ``seeds`` and ``scripts`` are the folder defaults."""

    name: str
    dialect: str = "duckdb"
    schema: str = "main"
    targets: Mapping[str, Target] = EMPTY
    default_target: str = "dev"
    vars: Mapping[str, Any] = EMPTY
    models: Marked | None = None
    seeds: Marked | None = None
    scripts: Marked | None = None
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    unknown_references: str = "warn"
    unknown_columns: str = "error"
    unreadable_sql: str = "error"
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _fail_fast(node: Marked) -> bool | str:
    if isinstance(node.value, bool) or node.value == "drain":
        return bool(node.value) if isinstance(node.value, bool) else "drain"
    fix = "Allowed: false, true, drain."
    raise Wrong(f"{fields.describe(node)} is not allowed", node.place, fix)


def _node(node: Marked) -> Marked:
    return node


_KEYS: dict[str, Reader] = {
    "name": fields.name,
    "dialect": fields.one_of(*DIALECTS),
    "schema": fields.name,
    "target": fields.text,
    "targets": _node,
    "vars": fields.variables,
    "models": _node,
    "seeds": _node,
    "scripts": _node,
    "jobs": _node,
    "schedules": _node,
    "fail_fast": _fail_fast,
    "max_concurrent": fields.integer(1),
    "unknown_references": fields.one_of("error", "warn", "ignore"),
    "unknown_columns": fields.one_of("error", "warn", "ignore"),
    "unreadable_sql": fields.one_of("error", "warn"),
}


def read_settings(
    node: Marked | None, root: str, environ: Mapping[str, str], tell: Tell
) -> Settings:
    """The project file. *root* is the project's folder, absolute; ``${X}`` comes from *environ*."""
    values = read_mapping(node, _KEYS, tell)
    top = Location(PROJECT_FILE)
    written = node.value if node is not None and isinstance(node.value, dict) else {}
    if "name" not in values:
        if node is not None and "name" not in written:
            folder = os.path.basename(root)
            example = folder if fields.NAME.match(folder) else "my_project"
            fix = f"Add `name: {example}`."
            tell(problem("the project has no name", top, fix))
        values["name"] = "project"
    name = values["name"]
    targets = _read_targets(values.get("targets"), name, root, environ, tell)
    default = environ.get(TARGET_VARIABLE) or _default_target(
        values.get("target"), targets, node, tell
    )
    jobs = _read_jobs(values.get("jobs"), name, tell)
    schedules = _read_schedules(values.get("schedules"), [job.name for job in jobs], tell)
    return Settings(
        name=name,
        dialect=values.get("dialect", "duckdb"),
        schema=values.get("schema", "main"),
        targets=targets,
        default_target=default,
        vars=values.get("vars", {}),
        models=values.get("models"),
        seeds=values.get("seeds"),
        scripts=values.get("scripts"),
        jobs=jobs,
        schedules=schedules,
        unknown_references=values.get("unknown_references", "warn"),
        unknown_columns=values.get("unknown_columns", "error"),
        unreadable_sql=values.get("unreadable_sql", "error"),
        defaults={
            "fail_fast": values.get("fail_fast", False),
            "max_concurrent": values.get("max_concurrent"),
            "vars": values.get("vars", {}),
        },
    )


def _children(node: Marked | None, noun: str, tell: Tell) -> list[tuple[str, Location, Marked]]:
    """The named entries of ``targets:``, ``jobs:``, ``schedules:``."""
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, dict):
        what = f"`{noun}`: expected names, got {fields.describe(node)}"
        tell(problem(what, node.place, f"Write `{noun}: {{name: {{...}}}}`."))
        return []
    return list(node.items())


# --- targets ---------------------------------------------------------------------------------


def _read_targets(
    node: Marked | None, project: str, root: str, environ: Mapping[str, str], tell: Tell
) -> dict[str, Target]:
    targets: dict[str, Target] = {}
    for name, place, item in _children(node, "targets", tell):
        target = _read_target(name, place, item, root, environ, tell)
        if target is not None:
            targets[name] = target
    if targets or (node is not None and node.value):
        return targets
    path = os.path.join(root, "target", f"{project}.duckdb")
    return {"dev": Target("dev", "duckdb", {"path": path}, catalog=_duckdb_catalog(path))}


def _read_target(
    name: str, place: Location, node: Marked, root: str, environ: Mapping[str, str], tell: Tell
) -> Target | None:
    given = _filled(node, environ)
    if not isinstance(given.value, dict):
        tell(problem(f"target `{name}` has no settings", place, "Write `type: duckdb`."))
        return None
    type_node = given.value.get("type")
    type_ = str(type_node.value) if type_node is not None else ""
    if type_ not in TARGET_TYPES:
        at = type_node.place if type_node is not None else place
        what = f"unknown target type `{type_}`" if type_ else f"target `{name}` has no `type`"
        fix = f"Supported now: {', '.join(sorted(TARGET_TYPES))}."
        tell(problem(what, at, fix))
        return None
    # A value whose variable is unset cannot be read as a number yet; it is kept as text and told
    # by `usable_target` when somebody wants this target.
    unset = {key: item.value for key, _, item in given.items() if names_in(item.value)}
    readers = {"type": fields.text, "threads": fields.integer(1), "schema_prefix": fields.text}
    known = {**readers, **TARGET_TYPES[type_]}
    values = read_mapping(_without(given, unset, known), known, tell)
    settings = {k: v for k, v in {**values, **unset}.items() if k not in readers or k in unset}
    catalog = None
    if type_ == "duckdb":
        path = settings["path"] = _duckdb_path(settings.get("path"), name, place, root, tell)
        catalog = _duckdb_catalog(path)
    for key in SECRET_SETTINGS:
        if key in settings:
            _refuse_password(key, given.value[key], tell)
    prefix = values.get("schema_prefix", "")
    dialect = TARGET_DIALECTS.get(type_, "")
    return Target(name, type_, settings, prefix, values.get("threads"), catalog, dialect)


def _duckdb_catalog(path: str) -> str:
    """The name that DuckDB gives to a database: its file's, up to the first dot."""
    return os.path.basename(path).split(".")[0]


def _filled(node: Marked, environ: Mapping[str, str], number: bool = False) -> Marked:
    """*node* with ``${X}`` replaced where X is set; made a number where a *number* goes."""
    if isinstance(node.value, dict):
        items = {
            key: item if key in SECRET_SETTINGS else _filled(item, environ, key in _NUMBERS)
            for key, _, item in node.items()
        }
        return Marked(items, node.place, node.keys)
    if not isinstance(node.value, str) or not VARIABLE.search(node.value):
        return node
    text = filled(node.value, environ)
    return Marked(int(text) if number and text.isdecimal() else text, node.place)


_PASSWORD = re.compile(
    r"://[^/@]*:(?P<url>[^@]+)@|\bpassword\s*=\s*(?P<pair>'[^']*'|[^\s&]+)", re.I
)


def _refuse_password(key: str, node: Marked, tell: Tell) -> None:
    """A password belongs to the environment: this file is in git, and its values are shown."""
    found = _PASSWORD.search(str(node.value)) if key == "dsn" else None
    password = (found["url"] or found["pair"]) if found else ""
    if key == "password":
        password = str(node.value)
    if VARIABLE.sub("", password):
        fix = "Write ${NAME}, and set the environment variable NAME where Dagster runs."
        tell(problem(f"`{key}` holds a password as plain text", node.place, fix))


def _without(node: Marked, unset: Collection[str], known: Collection[str]) -> Marked:
    items = {k: v for k, v in node.value.items() if k not in unset or k not in known}
    return Marked(items, node.place, node.keys)


def _duckdb_path(path: str | None, name: str, place: Location, root: str, tell: Tell) -> str:
    if path is None:
        fix = "Add e.g. `path: target/warehouse.duckdb`."
        tell(problem(f"target `{name}` has no `path`", place, fix))
        return ""
    if path.startswith(":"):
        what = f"target `{name}`: a database in memory ends with the process that made it"
        tell(problem(what, place, "Name a file, e.g. `path: target/warehouse.duckdb`."))
    if names_in(path):
        return path
    return os.path.normpath(os.path.join(root, os.path.expanduser(path)))


def _default_target(
    written: str | None, targets: Mapping[str, Target], node: Marked | None, tell: Tell
) -> str:
    if written is None:
        if len(targets) == 1 or "dev" in targets or not targets:
            return next(iter(targets)) if len(targets) == 1 else "dev"
        what = f"which of the targets is the default? There are {', '.join(targets)}"
        place = node.keys["targets"] if node is not None else Location(PROJECT_FILE)
        tell(problem(what, place, f"Add `target: {next(iter(targets))}`."))
        return next(iter(targets))
    if written not in targets and targets:
        place = node.value["target"].place if node is not None else Location(PROJECT_FILE)
        fix = suggest(written, targets, "Targets")
        tell(problem(f"there is no target `{written}`", place, fix))
    return written


def unset_variables(target: Target, environ: Mapping[str, str]) -> list[str]:
    """The environment variables that *target* needs and that are not set."""
    return [
        name
        for key, value in target.settings.items()
        for name in names_in(value)
        if key not in SECRET_SETTINGS or name not in environ
    ]


# --- jobs and schedules ----------------------------------------------------------------------

_JOB: dict[str, Reader] = {
    "selection": fields.text,
    "description": fields.text,
    "tags": fields.labels,
}
_SCHEDULE: dict[str, Reader] = {
    "job": fields.text,
    "cron": fields.text,
    "timezone": fields.timezone,
}


def _read_jobs(node: Marked | None, project: str, tell: Tell) -> tuple[Job, ...]:
    jobs = []
    for name, place, item in _children(node, "jobs", tell):
        if not fields.NAME.match(name):
            fix = "Use letters, digits and _ only."
            tell(problem(f"`{name}` cannot be the name of a job", place, fix))
        jobs.append(
            Job(name, **read_mapping(item, _JOB, tell), location=_place(item, "selection", place))
        )
    return tuple(jobs) or (Job(project),)


def _place(node: Marked, key: str, otherwise: Location) -> Location:
    item = node.value.get(key) if isinstance(node.value, dict) else None
    return item.place if isinstance(item, Marked) else otherwise


def _read_schedules(node: Marked | None, jobs: Collection[str], tell: Tell) -> tuple[Schedule, ...]:
    schedules = []
    for name, place, item in _children(node, "schedules", tell):
        if not fields.NAME.match(name):
            fix = "Use letters, digits and _ only."
            tell(problem(f"`{name}` cannot be the name of a schedule", place, fix))
        told: list[Any] = []
        values = read_mapping(item, _SCHEDULE, told.append)
        for it in told:
            tell(it)
        missing = [key for key in ("job", "cron") if key not in values]
        if missing:
            fix = "Write `{job: name, cron: '0 6 * * *'}`."
            if not told:
                what = f"schedule `{name}` has no `{'` and no `'.join(missing)}`"
                tell(problem(what, place, fix))
        elif values["job"] not in jobs:
            at = item.value["job"].place
            fix = suggest(values["job"], jobs, "Jobs")
            tell(problem(f"there is no job `{values['job']}`", at, fix))
        else:
            schedules.append(Schedule(name, **values, location=_place(item, "cron", place)))
    return tuple(schedules)
