"""``unit_tests/*.yaml``: tests of models, with the words of dbt's `unit_tests:` beside ours.

    - model: marts.orders
      name: an update replaces the row
      given:
        raw.order_lines: [{order_id: 1, status: paid}]
        this: [{order_id: 1, status: open}]
      expect: [{order_id: 1, status: paid}]

A YAML file beside models or seeds may have `unit_tests:` in dbt's shape, too. All of these are read
by the commands that need them, and never by a run.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster_models.core.model import EMPTY, Location, Project
from dagster_models.core.unit_tests import Cell, UnitTest
from dagster_models.errors import Problem
from dagster_models.project.built_schemas import remembered
from dagster_models.project.files import DESCRIBED, read_file
from dagster_models.project.problems import Noted, Report, problem
from dagster_models.project.unit_tests.link import Declared, Linker, is_meant
from dagster_models.project.unit_tests.rows import RowsReader
from dagster_models.project.unit_tests.seeds import with_seed_types
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode, read_yaml

FOLDER = "unit_tests"
_ENDINGS = (".yaml", ".yml")
_EXAMPLE = "Write `- model: schema.name`, with `name`, `given` and `expect`."
#: dbt's names of what is given.
_REF = re.compile(r"ref\(\s*(?:'[^']*'|\"[^\"]*\"|[^,()]*,\s*)?['\"]([^'\"]+)['\"]\s*\)\Z")
_SOURCE = re.compile(r"source\(\s*['\"]([^'\"]+)['\"]\s*,\s*['\"]([^'\"]+)['\"]\s*\)\Z")


def read_unit_tests(project: Project, report: Report) -> list[UnitTest]:
    """All unit tests of a project, in the order of their files. What is wrong is reported."""
    reader = RowsReader(project.root, project.dialect)
    read = (_declared(item, reader, report) for item in _entries(project.root, report))
    declared = [it for it in read if it is not None]
    names = {str(it.values["model"].value) for it in declared}
    every = (*project.steps, *project.ephemerals)
    tested = [key for key in every if any(is_meant(key, name) for name in names)]
    built = remembered(project.target_path)
    linker = Linker(project, with_seed_types(project, tested, built), built, report)
    tests = (linker.linked(it) for it in declared)
    return [test for test in tests if test is not None]


def _files(root: str, *folders: str) -> list[str]:
    every = (path for folder in folders for path in Path(root, folder).rglob("*"))
    names = (path.relative_to(root).as_posix() for path in every if not path.is_dir())
    kept = (path for path in names if not any(part.startswith(".") for part in path.split("/")))
    return sorted(path for path in kept if os.path.splitext(path)[1].lower() in _ENDINGS)


def _entries(root: str, report: Report) -> Iterator[YamlNode]:
    """The tests of all files: a list of them, or dbt's `unit_tests:` with one."""
    for path in _files(root, FOLDER):
        read = read_file(root, path, report)
        node = read_yaml(read[0], path, report) if read else None
        if node is not None and isinstance(node.value, dict):
            readers: dict[str, Reader] = {"version": fields.as_is, "unit_tests": fields.as_is}
            node = read_mapping(node, readers, report).get("unit_tests")
        yield from _items(node, report)
    for path in _files(root, *DESCRIBED):
        read = read_file(root, path, _reported_by_the_load)
        if read is not None and "unit_tests" in read[0]:
            node = read_yaml(read[0], path, _reported_by_the_load)
            if node is not None and isinstance(node.value, dict):
                yield from _items(node.value.get("unit_tests"), report)


def _reported_by_the_load(found: Problem) -> None:
    """What is wrong in a file beside models is reported with the project's own problems."""


def _items(node: YamlNode | None, report: Report) -> Sequence[YamlNode]:
    if node is None or node.value is None:
        return ()
    if not isinstance(node.value, list):
        report(problem(f"expected tests, got {fields.describe(node)}", node.place, _EXAMPLE))
        return ()
    return node.value


# --- one test --------------------------------------------------------------------------------


def _now(node: YamlNode) -> dt.datetime:
    """A moment; one without a zone is in UTC."""
    value = node.value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        fix = "Write it without quotes: 2024-01-05 10:00:00."
        raise BadValue(f"expected a time, got {fields.describe(node)}", node.place, fix)
    return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)


def _single(node: YamlNode) -> Cell:
    if isinstance(node.value, (dict, list)) or node.value is None:
        raise BadValue(f"expected a value, got {fields.describe(node)}", node.place)
    return Cell(node.value, node.written, node.place)


def _keys(node: YamlNode) -> tuple[Cell, ...]:
    return tuple(map(_single, node.value if isinstance(node.value, list) else [node]))


def _given(node: YamlNode) -> list[tuple[str, Location, YamlNode]]:
    """(name, place, rows), of a mapping by name or of dbt's list with `input`."""
    if isinstance(node.value, dict):
        return list(node.items())
    found = []
    for item in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(item.value, dict) or "input" not in item.value:
            fix = "Write `given: {schema.name: [{column: value}]}`."
            raise BadValue(f"expected names, got {fields.describe(item)}", item.place, fix)
        name = item.value["input"]
        rest = {key: value for key, value in item.value.items() if key != "input"}
        rows = YamlNode(rest, item.place, item.keys) if rest else YamlNode([], item.place)
        found.append((_plain_name(fields.text(name).strip()), name.place, rows))
    return found


def _plain_name(written: str) -> str:
    """The name in dbt's `ref('name')` or `source('schema', 'name')`."""
    if found := _SOURCE.match(written):
        return f"{found[1]}.{found[2]}"
    return found[1] if (found := _REF.match(written)) else written


def _overrides(node: YamlNode) -> dict[str, Any]:
    """dbt's `overrides: {vars: ..., macros: {is_incremental: false}}`."""
    values = fields.values_of(node, {"vars": fields.as_is, "macros": fields.as_is})
    found: dict[str, Any] = {}
    if "vars" in values:
        found["vars"] = values["vars"]
    if "macros" in values:
        macros = fields.values_of(values["macros"], {"is_incremental": fields.boolean})
        found["full_refresh"] = not macros.get("is_incremental", True)
    return found


def _config(node: YamlNode) -> Mapping[str, Any]:
    """dbt's `config: {enabled: false}`; its other words are for the reader."""
    keys = {"enabled": fields.boolean, "tags": fields.as_is, "meta": fields.as_is}
    return fields.values_of(node, keys)


TEST_KEYS: Mapping[str, Reader] = {
    "model": fields.as_is,
    "name": fields.text,
    "description": fields.text,
    "tags": fields.as_is,
    "meta": fields.as_is,
    "vars": fields.as_is,
    "partition": _keys,
    "since": _single,
    "now": _now,
    "full_refresh": fields.boolean,
    "given": _given,
    "expect": fields.as_is,
    "key": fields.words,
    "overrides": _overrides,
    "config": _config,
}


def _declared(node: YamlNode, reader: RowsReader, report: Report) -> Declared | None:
    """A test as it is written. None if something in it is wrong, which is reported."""
    noted = Noted(report)
    if not isinstance(node.value, dict):
        noted(problem(f"expected a test, got {fields.describe(node)}", node.place, _EXAMPLE))
        return None
    values = read_mapping(node, TEST_KEYS, noted)
    missing = [key for key in ("model", "name", "expect") if key not in node.value]
    if missing:
        noted(problem(f"the test has no `{'` and no `'.join(missing)}`", node.place, _EXAMPLE))
    if not values.pop("config", EMPTY).get("enabled", True):
        return None
    values = {**values.pop("overrides", {}), **values}
    given = []
    for name, place, rows in values.get("given", ()):
        try:
            given.append((name, place, reader.read(rows)))
        except BadValue as bad:
            noted(problem(f"`given`: {name}: {bad.what}", bad.place, bad.fix))
    try:
        expect = reader.read(values["expect"]) if "expect" in values else None
    except BadValue as bad:
        noted(problem(f"`expect`: {bad.what}", bad.place, bad.fix))
    if noted.problems or expect is None:
        return None
    return Declared(node, {**values, "given": given, "expect": expect})
