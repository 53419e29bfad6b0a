"""``attach:`` of a DuckDB target: databases and folders in another place, which models read.

    attach:
      shop: ../shop/shop.duckdb           # a DuckDB file; the same as {duckdb: ...}
      lake: {files: data/lake}            # each Parquet or CSV file or folder of these is a table
      erp: {postgres: "${ERP_DSN}"}       # by DuckDB's extension, if it is installed

Paths start at the project's folder. What is wrong is reported with its place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from dagster_models.core.model import Location, Source, Target
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.environment import filled, names_in
from dagster_models.util.plain_names import NAME

KEY = "attach"
#: The ways to attach.
KINDS = ("duckdb", "files", "postgres")
#: Schemas that each database has: a name that may also mean one of these is refused by DuckDB.
_TAKEN = ("main", "temp", "system", "information_schema", "pg_catalog", "dagster_models")

Attached = dict[str, dict[str, str]]


def read_attached(
    node: YamlNode, root: str, path: str, catalog: str, environ: Mapping[str, str], report: Report
) -> Attached:
    """Name -> what is attached by it, as the target's setting. ``path`` is the target's own file,
    and ``catalog`` its name."""
    found: Attached = {}
    places: dict[str, str] = {"" if names_in(path) else os.path.realpath(path): "the target itself"}
    names = {catalog.lower(): "the target's own file", **dict.fromkeys(_TAKEN, "DuckDB itself")}
    for name, place, item in fields.named_entries(node, "attach", report):
        taken = names.get(name.lower())
        if not NAME.match(name) or taken is not None:
            what = f"`attach`: the name `{name}` is that of {taken}, and case does not matter"
            if taken is None:
                what = f"`attach`: {name!r} cannot be a name"
            report(problem(what, place, "Choose another name of letters, digits and _."))
            continue
        names[name.lower()] = f"the entry at {place}"
        try:
            entry = _entry(name, item, root, environ)
        except BadValue as wrong:
            report(problem(f"`attach: {name}`: {wrong.what}", wrong.place, wrong.fix))
            continue
        file = os.path.realpath(entry["duckdb"]) if "duckdb" in entry else None
        if file in places:
            what = f"`attach: {name}`: {entry['duckdb']} is the file of {places[file]}"
            report(problem(what, item.place, "Attach each file once, and never the target's own."))
            continue
        if file is not None and not names_in(file):
            places[file] = f"`attach: {name}`"
        found[name] = entry
    return found


def attached_names(targets: Mapping[str, Target]) -> frozenset[str]:
    """The names, in lower case, of all that some target attaches."""
    return frozenset(name.lower() for it in targets.values() for name in it.settings.get(KEY, ()))


def check_sources(sources: Sequence[Source], targets: Mapping[str, Target], report: Report) -> None:
    """Report sources that no folder can have: its tables are in one schema."""
    folders = {
        name.lower()
        for it in targets.values()
        for name, entry in it.settings.get(KEY, {}).items()
        if "files" in entry
    }
    for source in sources:
        relation = source.relation
        if (relation.catalog or "").lower() in folders and relation.schema != "main":
            what = f"the source `{source.key}` is in the schema `{relation.schema}`, and the tables"
            what += f" of the folder that is attached as `{relation.catalog}` are in `main`"
            report(problem(what, source.location, "Add `schema: main` to the source."))


def postgres_nodes(node: YamlNode) -> list[YamlNode]:
    """The connection strings in ``attach:``, which may hold a password."""
    entries = node.value.values() if isinstance(node.value, dict) else ()
    return [
        item.value["postgres"]
        for item in entries
        if isinstance(item.value, dict) and "postgres" in item.value
    ]


def _entry(name: str, node: YamlNode, root: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What one name stands for. Raises BadValue."""
    if isinstance(node.value, str):
        node = YamlNode({"duckdb": node}, node.place, {"duckdb": node.place})
    example = "Write the path of a DuckDB file, `{files: folder}` or `{postgres: ${NAME}}`."
    if not isinstance(node.value, dict):
        raise BadValue(f"expected what to attach, got {fields.describe(node)}", node.place, example)
    fields.refuse_unknown(node, (*KINDS, "csv"))
    kinds = [kind for kind in KINDS if kind in node.value]
    if len(kinds) != 1:
        what = "there is nothing to attach" if not kinds else f"it is both {' and '.join(kinds)}"
        raise BadValue(what, node.place, example)
    (kind,) = kinds
    given = node.value[kind]
    text = _text(given)
    if kind == "postgres":
        entry = {kind: text}  # filled in by the process that attaches it
    else:
        entry = {kind: _path(filled(text, environ), kind, root, given.place)}
    if "csv" in node.value:
        if kind != "files":
            raise BadValue("`csv` is about `files`", node.keys["csv"], "Delete the key.")
        entry["csv"] = fields.OneOf("detect", "text")(node.value["csv"])
    return entry


def _text(node: YamlNode) -> str:
    """Text that no error quotes."""
    if isinstance(node.value, str) and node.value.strip():
        return node.value
    raise BadValue("expected text", node.place, "Write a path, or ${NAME} for a variable.")


def _path(text: str, kind: str, root: str, place: Location) -> str:
    if not text or text.startswith(":") or "://" in text:  # empty: the folder of the project
        fix = "Name a file or folder of this machine."
        raise BadValue(f"{text!r} is not a path", place, fix)
    if names_in(text):
        return text
    path = os.path.normpath(os.path.join(root, os.path.expanduser(text)))
    if kind == "duckdb" and "?" in os.path.realpath(path):
        what = "DuckDB takes a `?` in the path of a database for the start of parameters"
        raise BadValue(what, place, "Let the path lead to a folder without it.")
    return path
