"""The keys that say what a build does besides the rows of its relation: how they are read.

``pre_statements`` and ``post_statements`` (dbt: ``pre_hook``, ``post_hook``), ``grants``,
``indexes`` and ``persist_docs``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from dagster_models.core.extras import Export, Index, UserStatement
from dagster_models.core.materializations import is_custom
from dagster_models.core.model import Config, Step, Target
from dagster_models.errors import Problem
from dagster_models.project.files import MACROS, PACKAGES, TEMPLATES
from dagster_models.project.problems import place_of, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

#: What a role may be granted on a table or view.
PRIVILEGES = (
    *("select", "insert", "update", "delete"),
    *("truncate", "references", "trigger", "maintain"),
)


def statements(key: str) -> Reader:
    """One statement or a list of them. dbt's form `{sql: ..., transaction: true}` is one, too."""

    def read(node: YamlNode) -> tuple[UserStatement, ...]:
        items = node.value if isinstance(node.value, list) else [node]
        return tuple(_statement(_sql_of(item), key) for item in items)

    return read


def _statement(node: YamlNode, key: str) -> UserStatement:
    if not fields.text(node).strip():
        raise BadValue("expected a statement, got an empty text", node.place, "Delete it.")
    return UserStatement(node.value, key, node.place.path, node.place.line + node.is_block)


def _sql_of(item: YamlNode) -> YamlNode:
    if not isinstance(item.value, dict):
        return item
    fields.refuse_unknown(item, ("sql", "transaction"))
    outside = item.value.get("transaction")
    if outside is not None and fields.boolean(outside) is False:
        what = "`transaction: false` is refused: it could not be undone if the build fails"
        fix = "Delete it, or run the statement in a script (scripts/) before or after the model."
        raise BadValue(what, outside.place, fix)
    if "sql" not in item.value:
        raise BadValue("`sql` is missing", item.place, 'Write the statement: `- "delete ..."`.')
    sql: YamlNode = item.value["sql"]
    return sql


def grants(node: YamlNode) -> dict[str, tuple[str, ...]]:
    """Privilege -> roles."""
    if not isinstance(node.value, dict):
        fix = "Write `grants: {select: [role]}`."
        raise BadValue(f"expected privileges, got {fields.describe(node)}", node.place, fix)
    found: dict[str, tuple[str, ...]] = {}
    for key, place, item in node.items():
        if key.lower() not in PRIVILEGES:
            fix = suggest(key, PRIVILEGES, "Privileges")
            raise BadValue(f"`{key}` is no privilege on a table", place, fix)
        roles = fields.words(item) if item.value is not None else ()
        if not all(role.strip() for role in roles):
            raise BadValue("a role has no name", item.place, "Delete it.")
        found[key.lower()] = tuple(dict.fromkeys(roles))
    return found


INDEX_KEYS: dict[str, Reader] = {
    "columns": fields.words,
    "unique": fields.boolean,
    "type": fields.name,
    "name": fields.text,
}


def indexes(node: YamlNode) -> tuple[Index, ...]:
    """A list of `{columns, unique, type, name}`."""
    fix = "Write `indexes: [{columns: [a, b], unique: true}]`."
    if not isinstance(node.value, list):
        raise BadValue(f"expected a list, got {fields.describe(node)}", node.place, fix)
    found: list[Index] = []
    for item in node.value:
        if not isinstance(item.value, dict):
            raise BadValue(f"expected an index, got {fields.describe(item)}", item.place, fix)
        fields.refuse_unknown(item, INDEX_KEYS)
        index = Index(**{"columns": (), **fields.values_of(item, INDEX_KEYS)})
        if not index.columns:
            raise BadValue("an index needs `columns`", item.place, fix)
        if index in found or (index.name and index.name in [other.name for other in found]):
            raise BadValue("an index is listed twice", item.place, "Delete one, or rename it.")
        found.append(index)
    return tuple(found)


def persist_docs(node: YamlNode) -> tuple[str, ...]:
    """Which descriptions become comments in the warehouse."""
    fix = "Write `persist_docs: {relation: true, columns: true}`."
    if not isinstance(node.value, dict):
        raise BadValue(f"expected keys and values, got {fields.describe(node)}", node.place, fix)
    known = ("relation", "columns")
    fields.refuse_unknown(node, known)
    return tuple(key for key in known if key in node.value and fields.boolean(node.value[key]))


_FORMATS = ("parquet", "csv")
#: How files end that an export does not write: a folder of that name would be none of them.
_OTHER_FILES = frozenset(
    {
        *(".arrow", ".avro", ".bz2", ".feather", ".gz", ".json", ".jsonl"),
        *(".ndjson", ".orc", ".parq", ".pq", ".tsv", ".txt", ".xls", ".xlsx", ".zip", ".zst"),
    }
)
EXPORT_KEYS: dict[str, Reader] = {
    "path": fields.text,
    "format": fields.OneOf(*_FORMATS),
    "partition_by": fields.words,
    "keep": fields.Integer(1),
}
_OWN_FOLDERS = ("models", "seeds", "scripts", "checks", TEMPLATES, MACROS, PACKAGES)


def export(node: YamlNode) -> Export:
    """A path, or `{path, format, partition_by, keep}`."""
    fix = "Write `export: {path: exports/orders}`."
    if not isinstance(node.value, dict):
        return Export(_export_path(node), _format_of(node) or "parquet")
    fields.refuse_unknown(node, EXPORT_KEYS)
    if "path" not in node.value:
        raise BadValue("`path` is missing", node.place, fix)
    values, path = fields.values_of(node, EXPORT_KEYS), node.value["path"]
    format_ = _format_of(path)
    made = Export(**{"format": format_ or "parquet", **values, "path": _export_path(path)})
    folder = f"name a folder, such as `{os.path.splitext(made.path)[0]}`"
    if format_ not in ("", made.format):
        what = f"`path` names a file of the format {format_}, and `format` is {made.format}"
        raise BadValue(what, path.place, f"Delete `format`, or {folder}.")
    if format_ and made.partition_by:
        what = "`partition_by` writes a folder of files, and `path` names one file"
        raise BadValue(what, path.place, f"Delete `partition_by`, or {folder}.")
    return made


def _format_of(path: YamlNode) -> str:
    """The format of the one file that a path names; "" for a folder of files."""
    text = fields.text(path).strip()
    ending = os.path.splitext(text.rstrip("/"))[1].lower()
    if ending.lstrip(".") in _FORMATS and not text.endswith("/"):
        return ending.lstrip(".")
    if ending in _OTHER_FILES or ending.lstrip(".") in _FORMATS:
        fix = "End it in .parquet or .csv for one file, or name a folder, such as `exports/orders`."
        raise BadValue(
            f"`{text}` is no name of a file or folder that an export writes", path.place, fix
        )
    return ""


def _export_path(node: YamlNode) -> str:
    """The path of a file or folder, below the project's folder or absolute."""
    path = os.path.normpath(fields.text(node).strip() or ".")
    first = path.split(os.sep, 1)[0]
    if first == os.pardir:
        fix = "Write the absolute path, if you mean a folder elsewhere."
        raise BadValue(f"`{node.value}` leads out of the project's folder", node.place, fix)
    if first in _OWN_FOLDERS or path in (os.curdir, os.sep) or "\0" in path:
        fix = "Name a file or folder that is for this export alone, such as `exports/orders`."
        raise BadValue(f"`{node.value}` is no place for an export", node.place, fix)
    unknown = [name for name in re.findall(r"\$(\w+)", path) if name != "target"]
    if unknown:
        raise BadValue(f"`${unknown[0]}` has no value here", node.place, "There is `$target`.")
    return path


_PRE, _POST = statements("pre_statements"), statements("post_statements")

#: With dbt's words for some of them.
EXTRAS: dict[str, Reader] = {
    "pre_statements": _PRE,
    "post_statements": _POST,
    "grants": grants,
    "indexes": indexes,
    "persist_docs": persist_docs,
    "export": export,
    "pre_hook": _PRE,
    "pre-hook": _PRE,
    "post_hook": _POST,
    "post-hook": _POST,
}
ALIASES = {
    "pre_hook": "pre_statements",
    "pre-hook": "pre_statements",
    "post_hook": "post_statements",
    "post-hook": "post_statements",
}


def idle_extras(materialized: str, *, dbt: bool = False) -> set[str]:
    """The keys that a model of this kind cannot have; ``dbt``: with dbt's words for them."""
    if is_custom(materialized):  # its own code builds it, and may do all of the others
        keys = set(EXTRAS) - {"export"}
    else:
        keys = set(EXTRAS) if materialized in ("function", "ephemeral") else set()
    return keys if dbt else keys - set(ALIASES)


# A step and its target ---------------------------------------------------------------------------


def comments(config: Config) -> tuple[str | None, dict[str, str] | None]:
    """What is to be the comment of the relation, and of each column that has one; None for what is
    not to be persisted."""
    described = {column.name: column.description for column in config.columns}
    return (
        config.description.strip() if "relation" in config.persist_docs else None,
        {name: text.strip() for name, text in described.items() if text.strip()}
        if "columns" in config.persist_docs
        else None,
    )


def refused(step: Step, target: Target | None) -> Iterator[Problem]:
    """What the step's relation, or the warehouse of its target, cannot have."""
    config = step.config
    if config.indexes and config.materialized == "view":
        fix = "Set `materialized: table`, or delete `indexes`."
        yield problem("`indexes`: a view has none", place_of("indexes", step), fix)
    lacks = target.type.lacks if target is not None else {}
    if not lacks:
        return
    custom = is_custom(config.materialized)
    for lack, key, used in (
        (config.materialized, "materialized", True),
        ("custom", "materialized", custom),
        ("grants", "grants", bool(config.grants)),
        ("indexes", "indexes", bool(config.indexes)),
        ("index_types", "indexes", any(index.type for index in config.indexes)),
        ("statements", "pre_statements", bool(config.pre_statements)),
        ("statements", "post_statements", bool(config.post_statements)),
        ("comments", "persist_docs", bool(config.persist_docs)),
        ("merge_columns", "merge_update_columns", bool(config.merge_update_columns)),
        ("merge_columns", "merge_exclude_columns", bool(config.merge_exclude_columns)),
        ("predicates", "incremental_predicates", bool(config.incremental_predicates)),
    ):
        if used and lack in lacks and target is not None:
            word = key + (f": {config.materialized}" if key == "materialized" else "")
            what = f"`{word}`: the target `{target.name}` cannot have this: {lacks[lack]}"
            yield problem(what, place_of(key, step), _FIXES.get(lack, _FIX))


_FIXES = {
    "grants": "Delete `grants`, or use a target that has roles.",
    "indexes": "Delete `indexes`, or use a target that has them.",
    "index_types": "Delete `type`.",
    "incremental": "Set `materialized: table` for this target, or use another target.",
}
_FIX = "Delete it, or use another target for this model."


def wrong_columns(step: Step) -> Iterator[Problem]:
    """Columns of indexes and exports that the relation does not have, as far as those are known."""
    export_ = step.config.export
    used = [("indexes", name) for index in step.config.indexes for name in index.columns]
    used += [("export", name) for name in export_.partition_by] if export_ is not None else []
    if not used:
        return
    schema = step.trace.schema
    names = [name for name, _ in schema.columns]
    for key, column in used if schema.closed else ():
        if column.lower() not in map(str.lower, names):
            what = f"`{key}` names `{column}`, a column that {step.key} does not have"
            yield problem(what, place_of(key, step), suggest(column, names, "Columns"))


def clashing_exports(steps: Iterable[Step]) -> Iterator[Problem]:
    """Exports whose folders are the same, or one in the other."""
    seen: dict[str, Step] = {}
    for step in steps:
        if step.config.export is None:
            continue
        path = step.config.export.path
        for other, first in seen.items():
            if os.path.commonpath([f"/{path}", f"/{other}"]).lstrip("/") in (
                path.lstrip("/"),
                other.lstrip("/"),
            ):
                what = f"`export`: `{path}` is also where {first.key} is exported to (`{other}`)"
                yield problem(what, place_of("export", step), "Give each a folder of its own.")
                break
        seen.setdefault(path, step)
