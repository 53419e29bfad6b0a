"""The targets of the project file: each entry's settings, as its type of warehouse takes them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping

from dagster_models.core.model import Location, Target
from dagster_models.core.target_types import DEFAULT, TargetType, target_type, type_names
from dagster_models.errors import WarehouseError
from dagster_models.project.attached import postgres_nodes, read_attached
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.environment import VARIABLE, filled, names_in

#: How the value of a target's setting is read.
READERS: Mapping[str, Reader] = {
    "text": fields.text,
    "integer": fields.Integer(1),
    "seconds": fields.seconds,
    "attach": fields.as_is,
    "path": fields.text,
}
#: What each target takes, whatever its type.
_COMMON: Mapping[str, Reader] = {
    "type": fields.text,
    "threads": fields.Integer(1),
    "schema_prefix": fields.text,
}


def read_targets(
    node: YamlNode | None,
    project: str,
    root: str,
    target_path: str,
    environ: Mapping[str, str],
    report: Report,
) -> dict[str, Target]:
    """The targets by name. Without any there is one, on a DuckDB file in the folder
    *target_path*."""
    targets: dict[str, Target] = {}
    for name, place, item in fields.named_entries(node, "targets", report):
        target = _read_target(name, place, item, root, environ, report)
        if target is not None:
            targets[name] = target
    if targets or (node is not None and node.value):
        return targets
    path = os.path.join(target_path, f"{project}.duckdb")
    _refuse_question_mark(path, "", Location("dagster_models.yaml"), report)
    return {"dev": Target("dev", target_type(DEFAULT), {"path": path}, catalog=_catalog(path))}


def _read_target(
    name: str,
    place: Location,
    node: YamlNode,
    root: str,
    environ: Mapping[str, str],
    report: Report,
) -> Target | None:
    type_ = _target_type(name, place, node, environ, report)
    if type_ is None:
        return None
    known = {
        setting.name: _secret
        if setting.secret and setting.kind == "text"
        else READERS[setting.kind]
        for setting in type_.settings
    } | {**_COMMON}
    given = _filled(node, type_, known, environ)
    # A value whose variable is unset cannot be read as a number yet; it is kept as text and
    # reported by `usable_target` when somebody wants this target.
    unset = {key: item.value for key, _, item in given.items() if names_in(item.value)}
    values = read_mapping(_without(given, unset, known), known, report)
    settings = {k: v for k, v in {**values, **unset}.items() if k not in _COMMON or k in unset}
    catalog = type_.catalog or None
    _refuse_what_is_missing(settings, type_, name, place, report)
    for setting in type_.settings:
        if setting.kind == "path" and setting.name in settings:
            if not settings[setting.name]:
                what = f"target `{name}` has an empty `{setting.name}`"
                report(problem(what, place, "Write a path, or delete the setting."))
            settings[setting.name] = _resolved(settings[setting.name], root)
    if type_.file_setting:
        path = _database_file(settings.get(type_.file_setting), type_, name, place, root, report)
        settings[type_.file_setting] = path
        catalog = _catalog(path)
        if catalog.lower() in type_.databases:
            what = f"target `{name}`: DuckDB 1 mistakes `{catalog}` for a database of its own"
            report(problem(what, place, "Name the file otherwise."))
        if "attach" in settings:
            written = (settings["attach"], root, path, catalog)
            settings["attach"] = read_attached(*written, environ, report)
    for key in settings:
        if type_.secrets and key in given.value:
            for item in postgres_nodes(given.value[key]) if key == "attach" else [given.value[key]]:
                _refuse_password(key, item, type_, report)
    prefix = values.get("schema_prefix", "")
    _refuse_bare_variable(node.value.get("schema_prefix"), report)
    return Target(name, type_, settings, prefix, values.get("threads"), catalog)


def _target_type(
    name: str, place: Location, node: YamlNode, environ: Mapping[str, str], report: Report
) -> TargetType | None:
    if not isinstance(node.value, dict):
        report(problem(f"target `{name}` has no settings", place, "Write `type: duckdb`."))
        return None
    item = node.value.get("type")
    type_ = filled(str(item.value), environ) if item is not None else ""
    where = item.place if item is not None else place
    try:
        return target_type(type_)
    except WarehouseError as error:
        what, fix = error.message, ""
        if type_ not in type_names():
            what = f"unknown target type `{type_}`" if type_ else f"target `{name}` has no `type`"
            fix = f"Supported now: {', '.join(type_names())}."
        report(problem(what, where, fix))
        return None


def _catalog(path: str) -> str:
    """The name that a database has by its file: the first part of the file's name that is not
    empty. A name that DuckDB keeps for itself gets a suffix, since DuckDB 2 in any case."""
    name = next(filter(None, os.path.basename(path).split(".")), "")
    reserved = {"main", *target_type(DEFAULT).databases}
    is_kept = name in reserved or (name.lower() in reserved and _duckdb_line() >= 2)
    return f"{name}_db" if is_kept else name


def _duckdb_line() -> int:
    from importlib.metadata import version  # which few names of files ask for

    return int(version("duckdb").split(".")[0])


def _filled(
    node: YamlNode, type_: TargetType, known: Mapping[str, Reader], environ: Mapping[str, str]
) -> YamlNode:
    """*node* with ``${X}`` replaced where X is set, but for what may hold a password."""
    numbers = {key for key, reader in known.items() if reader not in (fields.text, _secret)}
    items = {
        key: item if key in type_.secrets else _filled_value(item, environ, key in numbers)
        for key, _, item in node.items()
    }
    return YamlNode(items, node.place, node.keys)


def _filled_value(node: YamlNode, environ: Mapping[str, str], number: bool) -> YamlNode:
    if not isinstance(node.value, str) or not VARIABLE.search(node.value):
        return node
    text = filled(node.value, environ)
    return YamlNode(int(text) if number and text.isdecimal() else text, node.place)


def _secret(node: YamlNode) -> str:
    """Text that no error quotes."""
    if isinstance(node.value, str):
        return node.value
    raise BadValue("expected text", node.place, "Write ${NAME}, the name of a variable.")


_PASSWORD = re.compile(
    r"://[^/@]*:(?P<url>[^@]+)@|\b(?:ssl)?password\s*=\s*(?P<pair>'[^']*'|[^\s&]+)", re.I
)


def _refuse_password(key: str, node: YamlNode, type_: TargetType, report: Report) -> None:
    """A password belongs to the environment: this file is in git, and its values are shown."""
    found = _PASSWORD.search(str(node.value))
    password = (found["url"] or found["pair"]) if found else ""
    if key in ("password", "token"):
        password = str(node.value)
    if VARIABLE.sub(lambda match: match["default"] or "", password):  # a default is plain text, too
        fix = "Write ${NAME}, and set the environment variable NAME where Dagster runs."
        if key not in type_.secrets:
            fix = f"Its value is shown in many places: write it as `{min(type_.secrets)}`."
        report(problem(f"`{key}` contains a password as plain text", node.place, fix))


_BARE = re.compile(r"\$([A-Za-z]\w*)")


def _refuse_bare_variable(node: YamlNode | None, report: Report) -> None:
    """`dev_$USER_` would be the name of a schema, as it is written."""
    found = _BARE.search(node.value) if node is not None and isinstance(node.value, str) else None
    if node is not None and found is not None:
        what = f"`schema_prefix`: `{found[0]}` does not stand for an environment variable"
        report(problem(what, node.place, f"Write `${{{found[1].rstrip('_')}}}`."))


def _without(node: YamlNode, unset: Collection[str], known: Collection[str]) -> YamlNode:
    items = {k: v for k, v in node.value.items() if k not in unset or k not in known}
    return YamlNode(items, node.place, node.keys)


def _database_file(
    path: str | None, type_: TargetType, name: str, place: Location, root: str, report: Report
) -> str:
    example = f"`{type_.file_setting}: target/warehouse.{type_.name}`"
    if not path:
        empty = "no" if path is None else "an empty"  # of a variable that is set to nothing
        what = f"target `{name}` has {empty} `{type_.file_setting}`"
        report(problem(what, place, f"Add e.g. {example}."))
        return ""
    if path.startswith(":"):
        what = f"target `{name}`: a database in memory is lost when the process that made it ends"
        report(problem(what, place, f"Name a file, e.g. {example}."))
    if names_in(path):
        return path
    found = _resolved(path, root)
    _refuse_question_mark(found, f"target `{name}`: ", place, report)
    return found


def _refuse_what_is_missing(
    settings: Mapping[str, object], type_: TargetType, name: str, place: Location, report: Report
) -> None:
    for group in type_.needs:
        given = [setting for setting in group if setting in settings]
        if len(given) == 1:
            continue
        listed = " or ".join(f"`{setting}`" for setting in group)
        what = f"target `{name}` has no {listed}"
        if given:
            what = f"target `{name}` has both {' and '.join(f'`{it}`' for it in given)}"
        report(problem(what, place, f"Set {'exactly one of ' if group[1:] else ''}{listed}."))


def _resolved(path: str, root: str) -> str:
    """The path as it starts at the project's folder; a URL, or what has a variable, as it is."""
    if "://" in path or names_in(path):
        return path
    return os.path.normpath(os.path.join(root, os.path.expanduser(path)))


def _refuse_question_mark(path: str, target: str, place: Location, report: Report) -> None:
    """DuckDB writes the log of such a database to another folder, which is not there."""
    if "?" in os.path.realpath(path):
        what = f"{target}DuckDB takes a `?` in the path of a database for the start of parameters"
        fix = "Let `path`, or `target_path`, lead to a folder without it."
        report(problem(what, place, fix))
