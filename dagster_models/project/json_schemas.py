"""JSON schemas of the files that a user writes, made of the tables of keys that read these files.

An editor that knows JSON schemas completes the keys, and marks unknown ones and values of another
type. What a reader demands besides (that a name exists, what two keys mean together) is left to
``dagster-models check``. https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from dagster_models.core.target_types import TargetType, target_type, type_names
from dagster_models.errors import WarehouseError
from dagster_models.project import (
    config,
    described,
    extras,
    freshness,
    partitions,
    promises,
    retries,
    runner,
    settings,
    source_freshness,
    sources,
    target_settings,
    templates,
    variables,
)
from dagster_models.project.checks import keys, kinds, thresholds
from dagster_models.project.checks.aliases import ALIASES
from dagster_models.project.unit_tests import read as unit_tests
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANY: Schema = {}
_TEXT: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_OBJECT: Schema = {"type": "object"}
_DURATION: Schema = {
    "anyOf": [_NUMBER, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$"}]
}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}


def _either(*those: Schema) -> Schema:
    return {"anyOf": [*those]}


def _list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _one_or_more(item: Schema) -> Schema:
    return _either(item, _list_of(item))


def _by_name(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


_WORDS = _one_or_more(_TEXT)


def _object(readers: Mapping[str, Reader], **more: Schema) -> Schema:
    """An object with these keys and no others. *more* are the schemas of keys whose readers look
    at them later."""
    return {
        "type": "object",
        "properties": {
            key: _nullable(more.get(key, _of(reader))) for key, reader in readers.items()
        },
        "additionalProperties": False,
    }


def _nullable(schema: Schema) -> Schema:
    """A key without a value counts as not written."""
    return schema and _either(schema, {"type": "null"})


def _of(reader: Reader) -> Schema:
    """What a reader takes, as far as a schema can say it; anything if it is not in the table."""
    if isinstance(reader, fields.OneOf):
        return {"enum": list(reader.allowed)}
    if isinstance(reader, fields.Integer):
        least = {} if reader.least is None else {"minimum": reader.least}
        return {"type": "integer", **least}
    return _SHAPES.get(reader, _ANY)


#: Reader -> what it takes.
_SHAPES: dict[Reader, Schema] = {
    **dict.fromkeys((fields.text, fields.timezone, fields.pool, fields.name), _TEXT),
    fields.boolean: _BOOLEAN,
    **dict.fromkeys((fields.seconds, fields.positive_seconds), _DURATION),
    **dict.fromkeys((fields.words, fields.owners, fields.kinds, fields.placed_names), _WORDS),
    **dict.fromkeys((fields.mapping, config.settings), _OBJECT),
    fields.texts_by_name: _by_name(_TEXT),
    fields.labels: _by_name(_SCALAR),
    fields.tags: _either(_WORDS, _by_name(_SCALAR)),
    fields.variables: _by_name(_one_or_more(_SCALAR)),
    config.materialized: _either({"enum": list(config.MATERIALIZED)}, {"pattern": r"\w\.\w"}),
    config.strategy: {"enum": sorted({it for those in config.STRATEGIES.values() for it in those})},
    config.check_cols: _WORDS,
    config.lookback: _either({"type": "integer"}, {"type": "string", "pattern": r"^\d+\s*[a-z]+$"}),
    config.sql_type: _TEXT,
    config.arguments: _by_name(_TEXT),
    config.returns: _either(_TEXT, _by_name(_TEXT)),
    config.meta_columns: _by_name(_TEXT),
    settings.key_prefix: _WORDS,
    settings.code_url: {"type": "string", "pattern": "^https?://"},
    settings.fail_fast: {"enum": [False, True, "drain"]},
    thresholds.threshold: {"type": "string", "pattern": r"^\s*(>=|>|!=|<>)\s*\d+(\.\d+)?\s*%?\s*$"},
    keys.severity: {"enum": ["error", "warn", "ERROR", "WARN"]},
}
_SHAPES |= {
    retries.retries: _either({"type": "integer", "minimum": 0}, _object(retries.RETRIES_KEYS)),
    config.since: _either(_TEXT, _object(config.SINCE_KEYS)),
    partitions.partitions: _either(_TEXT, _object(partitions.MODEL_KEYS)),
    partitions.source_partitions: _object({"by": fields.text}),
    partitions.automation: _either(_TEXT, _object(partitions.AUTOMATION_KEYS)),
    freshness.after: _either(_DURATION, _object(freshness.AFTER_KEYS)),
    runner.amount: {"type": "number", "minimum": 0},
    promises.contract: _either(_BOOLEAN, _object(promises.CONTRACT_KEYS)),
    extras.indexes: _list_of(_object(extras.INDEX_KEYS)),
    extras.export: _either(_TEXT, _object(extras.EXPORT_KEYS)),
    settings.keep_runs: _either(
        {"type": "integer", "minimum": 1}, _object(settings.KEEP_RUNS_KEYS)
    ),
}
_SHAPES[freshness.of_model] = _object(freshness.LIMITS)
_SHAPES[runner.resources] = _by_name(_SHAPES[runner.amount])
_SHAPES[runner.size] = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[MGT]i?B$"}
_NEEDS = {"ray": _object(runner.NEEDS_KEYS)}
_SHAPES[runner.runner] = _either(
    {"enum": [*runner.RUNNERS]}, _object({"ray": runner.runner}, **_NEEDS)
)
_SHAPES[templates.jinja] = _either(_BOOLEAN, _object(templates.JINJA_KEYS))
_SHAPES[runner.cluster] = _object(runner.RAY_KEYS)


def _check() -> Schema:
    """A name, or `{kind: arguments}`. Queries with arguments are kinds too, so any name may be."""
    of_kind = {
        name: {"properties": {key: _of(it) for key, it in {**kind.arguments, **keys.KEYS}.items()}}
        for name, kind in kinds.KINDS.items()
    }
    names = [*kinds.KINDS, *ALIASES]
    of_all = {**dict.fromkeys(names, _ANY), **of_kind}
    return _either(_TEXT, {"type": "object", "properties": of_all})


def _columns() -> Schema:
    one = {
        "type": "object",
        "properties": {
            **dict.fromkeys(("name", "description", "type", "data_type"), _TEXT),
            **_checks(),
        },
        "additionalProperties": False,
    }
    return _either(_by_name(_nullable(one)), _list_of(one))


def _checks() -> dict[str, Schema]:
    return dict.fromkeys(keys.WORDS, _list_of({"$ref": "#/$defs/check"}))


def _defaults(section: str) -> Schema:
    """Defaults at any depth of folders: keys of the section, and names of folders and files."""
    readers = config.DEFAULT_KEYS[section]
    own = _object(readers, columns=_columns(), **_checks())["properties"]
    return {
        "type": "object",
        "properties": own,
        "additionalProperties": {"$ref": f"#/$defs/{section}"},
    }


def _target() -> Schema:
    of_types = {
        setting.name: _of(target_settings.READERS[setting.kind])
        for type_ in _target_types()
        for setting in type_.settings
    }
    # A number may come from the environment.
    filled = {key: shape and _either(shape, _TEXT) for key, shape in of_types.items()}
    return {
        "type": "object",
        "properties": {
            **filled,
            "type": _either({"enum": type_names()}, {"pattern": r"\$\{"}),
            "threads": _either({"type": "integer", "minimum": 1}, _TEXT),
            "schema_prefix": _TEXT,
        },
        "required": ["type"],
        "additionalProperties": False,
    }


def _target_types() -> Iterator[TargetType]:
    """All of them but those of packages that cannot be loaded: these are an error of the targets
    that have such a type."""
    for name in type_names():
        with suppress(WarehouseError):
            yield target_type(name)


def _project_file() -> Schema:
    variable = _either(_one_or_more(_SCALAR), _object(variables.KEYS))
    whole = _object(
        settings.KEYS,
        targets=_by_name(_target()),
        vars=_by_name(variable),
        jobs=_by_name(_nullable(_object(settings.JOB_KEYS))),
        schedules=_by_name(_object(settings.SCHEDULE_KEYS)),
        partitions=_by_name(_either(_object(partitions.SET_KEYS), _list_of(_SCALAR))),
        **{section: {"$ref": f"#/$defs/{section}"} for section in config.DEFAULT_KEYS},
    )
    sections = {section: _nullable(_defaults(section)) for section in config.DEFAULT_KEYS}
    return _titled("dagster_models.yaml", {**whole, "required": ["name"]}, sections)


def _header(folder: str) -> Schema:
    whole = _object(config.HEADER_KEYS[folder], columns=_columns(), **_checks())
    return _titled(f"The header of a file in {folder}/", whole)


def _sources() -> Schema:
    limits = _either(_object(source_freshness.LIMITS_OF_SOURCE), {"type": "null"})
    loaded = {"freshness": limits, **dict.fromkeys(source_freshness.LOADED, _TEXT)}
    table = _object(sources.TABLE_KEYS, columns=_columns(), **_checks(), **loaded)
    table = _either(_TEXT, {**table, "required": ["name"]})
    source = _object(sources.SOURCE_KEYS, tables=_list_of(table), **loaded)
    return _list_of({**source, "required": ["name"]})


def _sources_file() -> Schema:
    return _titled("sources.yaml", _object(sources.FILE_KEYS, sources=_sources()))


def _described_file() -> Schema:
    """A file beside models or seeds, in dbt's shape."""
    those = {
        "version": _ANY,
        "sources": _sources(),
        described.UNIT_TESTS: _unit_tests(),
        **{key: _entries(folder) for key, folder in described.FOLDERS.items()},
        **dict.fromkeys(described.IDLE, _ANY),
    }
    known = {key: _nullable(schema) for key, schema in those.items()}
    whole = {"type": "object", "properties": known, "additionalProperties": False}
    return _titled("A YAML file in models/ or seeds/", whole)


def _entries(folder: str) -> Schema:
    """What is said of models or seeds: the keys of a header, in `config` or beside it."""
    own = _object(described.READERS[folder], columns=_columns(), **_checks())
    idle = dict.fromkeys(described.IDLE_IN_ENTRIES, _ANY)
    inside = {**own, "properties": {**idle, **own["properties"]}}
    beside = {"name": _TEXT, "config": _nullable(inside), **inside["properties"]}
    return _list_of({**own, "properties": beside, "required": ["name"]})


def _unit_tests() -> Schema:
    test = _object(unit_tests.TEST_KEYS)
    return _list_of({**test, "required": ["model", "name", "expect"]})


def _unit_tests_file() -> Schema:
    tests = _unit_tests()
    named = {"type": "object", "properties": {"version": _ANY, "unit_tests": tests}}
    return _titled("unit_tests/*.yaml", _either(tests, named))


def _titled(title: str, whole: Schema, defs: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "$schema": _DIALECT,
        "title": title,
        **whole,
        "$defs": {"check": _check(), **(defs or {})},
    }


def json_schemas() -> dict[str, Schema]:
    """Name -> JSON schema of one kind of file that users write."""
    return {
        "dagster_models": _project_file(),
        "model_header": _header("models"),
        "script_header": _header("scripts"),
        "check_header": _titled(
            "The header of a file in checks/",
            _object({**config.CHECK_KEYS, **config.PYTHON_CHECK_KEYS}, model=_TEXT),
        ),
        "models": _described_file(),
        "sources": _sources_file(),
        "unit_tests": _unit_tests_file(),
    }
