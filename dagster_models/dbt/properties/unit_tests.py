"""The unit tests of a dbt project -> unit_tests/*.yaml.

dbt compares what the query of an incremental model returns, and a test here what the table holds
afterwards. So the rows that a test expects are put together with those of `this` that stay.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster_models.dbt.project.entry import DbtEntry
from dagster_models.dbt.project.interfaces import Lookup
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.dbt.properties.incremental import is_narrowed, strategy_of
from dagster_models.dbt.properties.seeds import seed_file

_INPUT = re.compile(r"(ref|source)\s*\((.*)\)\s*\Z", re.DOTALL)
_TEXT = re.compile(r"['\"]([^'\"]*)['\"]")
_VERSION = re.compile(r"\b(?:v|version)\s*=\s*['\"]?(\w+)")

Row = Mapping[str, Any]


class _NotTested(Exception):
    """Nothing of ours tests the same."""


@dataclass(slots=True)
class UnitTests:
    """``tests``: by the path of their file."""

    tests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def unit_tests_of(
    manifest: Manifest, names: Lookup, variables: Callable[[str], Collection[str]]
) -> UnitTests:
    """*variables*: those that the text of a model asks for, by its unique_id."""
    found = UnitTests()
    for unique_id, entry in manifest.unit_tests.items():
        try:
            model = _model(entry, manifest, names)
            test = _test(entry, model, manifest, names, variables(model.unique_id))
        except _NotTested as why:
            what = f"the unit test {entry.text('name')}: {why}"
            found.remarks.append(Remark(unique_id, what))
            continue
        path = f"unit_tests/{names.name(model.unique_id).replace('.', '_')}.yaml"
        found.tests.setdefault(path, []).append(test)
        if entry.mapping("overrides").get("env_vars"):
            what = f"the unit test {entry.text('name')}: variables of the environment are frozen"
            found.remarks.append(Remark(unique_id, what, Weight.DIFFERS))
    return found


def _model(entry: DbtEntry, manifest: Manifest, names: Lookup) -> DbtNode:
    for unique_id in entry.entry("depends_on").texts("nodes"):
        node = manifest.nodes.get(unique_id)
        if node is not None and node.kind == "model" and names.name(unique_id):
            if node.language == "python":
                raise _NotTested("a Python model has no unit tests")
            return node
    raise _NotTested("its model is not imported")


def _test(
    entry: DbtEntry, model: DbtNode, manifest: Manifest, names: Lookup, known: Collection[str]
) -> dict[str, Any]:
    overrides = entry.entry("overrides")
    macros = overrides.mapping("macros")
    others = [name for name in macros if name != "is_incremental"]
    if others:
        raise _NotTested(f"it overrides the macro {others[0]}, which is no macro here")
    variables = overrides.mapping("vars")
    frozen = [name for name in variables if name not in known]
    if frozen:
        raise _NotTested(f"it overrides the variable {frozen[0]}, whose value stands in the query")
    given = {
        name: rows
        for item in entry.list("given")
        for name, rows in [_given(item, model, manifest, names)]
    }
    test: dict[str, Any] = {"model": names.name(model.unique_id), "name": entry.text("name")}
    if entry.text("description", "").strip():
        test["description"] = entry.text("description").strip()
    if variables:
        test["vars"] = dict(variables)
    expected = entry.mapping("expect")
    rows = _rows(expected)
    if model.materialized == "incremental":
        if macros.get("is_incremental"):
            rows = _table_after(model, manifest, entry, rows)
        else:
            test["full_refresh"] = True
            given.pop("this", None)
    written = _written(rows, expected.get("format"), manifest)
    return {**test, "given": given, "expect": written}


def _given(
    item: Mapping[str, Any], model: DbtNode, manifest: Manifest, names: Lookup
) -> tuple[str, Any]:
    written = str(item["input"]).strip()
    if written == "this":
        return "this", _written(_rows(item), item.get("format"), manifest)
    unique_id = _meant(written, model, manifest, names)
    node = manifest.nodes.get(unique_id)
    if node is not None and node.materialized == "ephemeral":
        raise _NotTested(f"it gives rows of {node.name}, which is ephemeral: give what that reads")
    if item.get("rows") is None and node is not None and node.kind == "seed":
        try:
            return names.name(unique_id), {"csv": seed_file(node, manifest).data.decode()}
        except (OSError, UnicodeDecodeError) as error:
            raise _NotTested(f"the seed {node.name} cannot be read: {error}") from None
    return names.name(unique_id), _written(_rows(item), item.get("format"), manifest)


def _meant(written: str, model: DbtNode, manifest: Manifest, names: Lookup) -> str:
    """The unique_id that a `ref()` or `source()` means, among what the model reads."""
    found = _INPUT.match(written)
    parts = _TEXT.findall(found[2]) if found else []
    version = _VERSION.search(written)
    for unique_id in model.depends_on if found and parts else ():
        source, node = manifest.sources.get(unique_id), manifest.nodes.get(unique_id)
        if found and found[1] == "source" and source is not None:
            same = [source.source_name, source.name] == parts
        elif found and found[1] == "ref" and node is not None:
            same = node.name == parts[-1] and (len(parts) == 1 or node.package == parts[0])
            same = same and (version is None or node.version == version[1])
        else:
            same = False
        if same:
            return names.meant(unique_id)
    raise _NotTested(f"the model does not read {written}")


def _rows(fixture: Mapping[str, Any]) -> str | list[Row]:
    """Rows, or the text of a query."""
    rows = fixture.get("rows")
    if isinstance(rows, str):
        if fixture.get("format") == "csv":
            return [
                {name: cell or None for name, cell in row.items()}
                for row in csv.DictReader(io.StringIO(rows.strip("\n")))
            ]
        return rows
    spelled: dict[str, str] = {}  # dbt takes two names that differ by their case for one column
    return [
        {spelled.setdefault(name.lower(), name): value for name, value in row.items()}
        for row in rows or ()
    ]


def _written(rows: str | list[Row], format_: Any, manifest: Manifest) -> Any:
    """Rows as a file of ours has them: each names the columns that the first one does."""
    if isinstance(rows, str):
        return {"sql": rows.strip()}
    if format_ != "csv":
        columns = dict.fromkeys(name for row in rows for name in row)
        return [{name: row.get(name) for name in columns} for row in rows]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(rows[0]) if rows else []
    writer.writerow(names)
    writer.writerows([row.get(name) for name in names] for row in rows)
    return {"csv": out.getvalue()} if rows else []


def _table_after(
    model: DbtNode, manifest: Manifest, entry: DbtEntry, delta: str | list[Row]
) -> list[Row]:
    """The rows of the table after an increment that returns *delta*."""
    strategy, key = strategy_of(model, manifest.adapter_type)
    this: Mapping[str, Any] = next(
        (it for it in entry.list("given") if str(it["input"]).strip() == "this"), {}
    )
    before = _rows(this)
    columns = list(delta[0]) if delta and not isinstance(delta, str) else []
    known = strategy is not None and not isinstance(before, str)
    if not known or (key and is_narrowed(model)) or not set(key) <= set(columns) or not columns:
        what = "the rows of the table after the increment do not follow from those that it expects"
        raise _NotTested(what)
    assert not isinstance(delta, str)
    assert not isinstance(before, str)
    fresh = {_key(row, key) for row in delta} if key else set()
    kept = [row for row in before if not key or _key(row, key) not in fresh]
    return [*({name: row.get(name) for name in columns} for row in kept), *delta]


def _key(row: Row, key: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in key)
