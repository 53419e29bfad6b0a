"""profiles.yml -> the target that dagster_models.yaml has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.entry import BadDbtFile, read_yaml_file
from dagster_models.dbt.project.env_vars import ENV_VAR, from_environment, is_computed
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.project.remarks import DBTS_OWN, Remark, Weight
from dagster_models.util.environment import VARIABLE, filled
from dagster_models.util.plain_names import NAME, plain_name

#: Settings of dbt's profiles -> ours. A secret always comes from the environment.
_DUCKDB = {"path": "path", "threads": "threads"}
_POSTGRES = {
    **{key: key for key in ("host", "port", "user", "password", "dbname", "sslmode")},
    **{key: key for key in ("sslcert", "sslkey", "sslrootcert", "threads")},
    "database": "dbname",
    "pass": "password",
    "connect_timeout": "connect_seconds",
}
_OF_TYPES = {"duckdb": _DUCKDB, "postgres": _POSTGRES}
_SECRETS = ("password",)
#: What dbt reads of a profile and we have elsewhere, or do not need.
_SILENT = ("type", "schema", "database", "keepalives_idle", "search_path", "role", "retries")


def written_type(adapter: str) -> str:
    """The type of the target that is written for an adapter of dbt: what that target cannot have
    must not be written either. An adapter that is no target yet gets a DuckDB file."""
    return adapter if adapter in _OF_TYPES else "duckdb"


def target_of(
    manifest: Manifest, profiles: Path | None, into: Path | None = None
) -> tuple[dict[str, Any], list[Remark]]:
    """{name: settings} of dbt's default target. No secret is read out of the profile.

    *into*: the folder of our project, from which relative paths lead to the files that dbt has:
    dbt lets them start at the folder in which it runs, which is that of its project. None keeps
    them as they are written.
    """
    profile, remarks = _profile(manifest, profiles)
    name = str(profile.get("target") or "dev")
    outputs = profile.get("outputs") or {}
    if "{{" in name or name not in outputs:
        name = next(iter(outputs), "dev")
    output = outputs.get(name) or {}
    type_ = output.get("type") or manifest.adapter_type
    start = os.path.relpath(manifest.root, into) if into is not None else ""
    ours, lost = _settings(type_, output, manifest.project_name, start)
    remarks += [
        Remark("", f"`{key}` of the profile's target {name} has no counterpart") for key in lost
    ]
    for key in (key for key in output if key not in lost and is_computed(output[key])):
        what = f"`{key}` of the profile's target {name} is computed: only the variable is written"
        remarks.append(Remark("", what, Weight.DIFFERS))
    if ours["type"] != type_:
        what = f"{type_} is no target yet: {name} is a DuckDB file"
        remarks.append(Remark("", what, Weight.DIFFERS))
    elif output and ours.get("path") != _new_file(manifest.project_name):
        remarks.append(Remark("", f"the target {name} {DBTS_OWN}", Weight.NOTE))
    return {plain_name(name): ours}, remarks


def _profile(manifest: Manifest, file: Path | None) -> tuple[Mapping[str, Any], list[Remark]]:
    name = manifest.projects[manifest.project_name].given.values.get("profile")
    path = file or manifest.root / "profiles.yml"
    what = f"no profile {name!r} was found, so the target is one to fill in"
    if not path.is_file():
        return {}, [Remark("", what)]
    try:
        found = read_yaml_file(path).values.get(str(name))
    except BadDbtFile as error:
        return {}, [Remark("", f"{what}: {error}")]
    return (found, []) if isinstance(found, Mapping) else ({}, [Remark("", what)])


def _settings(
    type_: str, output: Mapping[str, Any], project: str, start: str
) -> tuple[dict[str, Any], list[str]]:
    """Our settings, and the keys that mean nothing here. *start*: where dbt's paths start."""
    known = _OF_TYPES.get(type_)
    if known is None:
        return {"type": written_type(type_), "path": _new_file(project)}, []
    found: dict[str, Any] = {"type": type_}
    for key, value in output.items():
        if key in known and known[key] in _SECRETS:
            found[known[key]] = _secret(value, project)
        elif key in known and value is not None:
            found[known[key]] = from_environment(value)
    if type_ == "duckdb":
        path = str(found.get("path") or "")
        found["path"] = _from(start, path) if _is_file(path) else _new_file(project)
        if path not in ("", ":memory:") and not _is_file(path):
            known = {key: it for key, it in known.items() if key != "path"}
        if attached := _attached(output.get("attach") or (), start):
            known, found["attach"] = {**known, "attach": "attach"}, attached
    lost = [key for key in output if key not in known and key not in _SILENT]
    return found, lost


def _new_file(project: str) -> str:
    return f"target/{project}.duckdb"


def _is_file(path: str) -> bool:
    """Whether it is a file here, and no database elsewhere, as `md:shop`, or in memory."""
    path = filled(path, {})
    return bool(path) and ":" not in path.partition("/")[0]


def _from(start: str, path: str) -> str:
    """A path of dbt's as it begins at our folder. Of one that begins with a variable the default
    begins there; it is left if the variable has none."""
    if (variable := VARIABLE.match(path)) and variable["default"] is not None:
        name, mark, default = variable.group("name", "mark", "default")
        rest = path[variable.end() :]
        if default:
            default = _from(start, default)
        elif not rest.startswith("/"):  # `rest` begins there unless the variable says another
            mark, default = ":-", os.path.join(start, "")
        return f"${{{name}{mark}{default}}}{rest}"
    if os.path.isabs(path) or path.startswith(("~", "$", "{")):
        return path
    return os.path.normpath(os.path.join(start, path))


def _attached(given: Sequence[Any], start: str) -> dict[str, Any]:
    """The databases that DuckDB attaches, by the name that dbt's SQL has for each; {} if one of
    them is more than a file, or has options that may make it another one."""
    found: dict[str, Any] = {}
    for it in given:
        of_file = isinstance(it, Mapping) and it.get("type") in (None, "duckdb")
        if not of_file or not it.keys() <= {"path", "alias", "type", "read_only"}:
            return {}
        path = str(from_environment(it.get("path") or ""))
        if not _is_file(path) or "{{" in path or is_computed(it["path"]):
            return {}
        name = str(it.get("alias") or _name_of(path))
        if not NAME.match(name):  # `attach` here has names that need no quotes
            return {}
        found[name] = {"duckdb": _from(start, path)}
    return found


def _name_of(path: str) -> str:
    """The name that DuckDB gives to a file: the first part of the file's name that is not empty."""
    path = VARIABLE.sub("$", path)  # whose value may be another name
    return next(filter(None, path.rpartition("/")[2].split(".")), "")


def _secret(value: Any, project: str) -> str:
    found = ENV_VAR.search(str(value))
    return (
        f"${{{found[1]}}}"
        if found
        else f"${{{re.sub(r'[^A-Za-z0-9]', '_', project).upper()}_PASSWORD}}"
    )
