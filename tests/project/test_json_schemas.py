"""The JSON schemas take what load() takes, and refuse what an editor is to mark."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from dagster_models.errors import Problem
from dagster_models.project import config, settings, sources
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.config import LATER
from dagster_models.project.described import read_described
from dagster_models.project.files import ProjectFile
from dagster_models.project.json_schemas import json_schemas
from dagster_models.project.unit_tests import read as unit_tests
from paths import REPOSITORY

SCHEMAS = json_schemas()
DOCS = "\n".join(path.read_text("utf-8") for path in sorted((REPOSITORY / "docs").glob("*.md")))


def plain(text: str) -> Any:
    """YAML as an editor's schema sees it: JSON, in which a date is a text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def errors(name: str, value: Any) -> list[str]:
    return found_by(jsonschema.Draft202012Validator(SCHEMAS[name]), value)


def found_by(validator: jsonschema.Draft202012Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema(name: str) -> None:
    of = jsonschema.Draft202012Validator
    schemas = of(of.META_SCHEMA, format_checker=of.FORMAT_CHECKER)
    assert found_by(schemas, SCHEMAS[name]) == []


def headers() -> list[str]:
    """Every header in the documentation and in the example."""
    texts = re.findall(r"^/\* @model\n(.*?)^\*/", DOCS, re.MULTILINE | re.DOTALL)
    for path in (REPOSITORY / "project/models").rglob("*.sql"):
        texts += re.findall(r"/\* @model\s(.*?)\*/", path.read_text("utf-8"), re.DOTALL)
    return texts


def test_they_take_every_header_of_the_documentation_and_the_example() -> None:
    found = headers()
    assert len(found) > 40
    for text in found:
        assert errors("model_header", plain(text)) == [], text


def test_they_take_every_header_of_a_check() -> None:
    texts = re.findall(r"^/\* @check\n(.*?)^\*/", DOCS, re.MULTILINE | re.DOTALL)
    assert len(texts) > 2
    for text in texts:
        assert errors("check_header", plain(text)) == [], text


def described_in(value: dict[str, Any]) -> bool:
    """Whether it is a file beside models: lists of what it describes."""
    keys = value.keys() & {"models", "seeds", "snapshots", "sources", "unit_tests"}
    return bool(keys) and all(isinstance(value[key], list) for key in keys)


def test_they_take_every_file_of_the_documentation_and_the_example() -> None:
    assert (
        errors("dagster_models", plain((REPOSITORY / "project/dagster_models.yaml").read_text()))
        == []
    )
    for path in (REPOSITORY / "project/unit_tests").glob("*.yaml"):
        assert errors("unit_tests", plain(path.read_text())) == []
    blocks = re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    seen = dict.fromkeys(("dagster_models", "models", "sources", "unit_tests"), 0)
    for text in blocks:
        value = plain(text)
        name = ""
        if isinstance(value, list) and isinstance(value[0], dict) and "expect" in value[0]:
            name = "unit_tests"
        elif isinstance(value, dict) and described_in(value):
            assert errors("models", value) == [], text
            seen["models"] += 1
            name = "sources" if "sources" in value and "models" not in value else ""
        elif isinstance(value, dict) and {"name", "targets"} & value.keys():
            name, value = "dagster_models", {"name": "p", **value}
        if name:
            assert errors(name, value) == [], text
            seen[name] += 1
    assert all(seen.values()), seen


def test_every_key_is_completed_and_no_other() -> None:
    whole = SCHEMAS["dagster_models"]
    assert set(whole["properties"]) == set(settings.KEYS)
    for folder, keys in config.DEFAULT_KEYS.items():
        (one, _) = whole["$defs"][folder]["anyOf"]
        assert set(one["properties"]) == set(keys)
    assert set(SCHEMAS["model_header"]["properties"]) == set(config.HEADER_KEYS["models"])
    assert set(SCHEMAS["script_header"]["properties"]) == set(config.HEADER_KEYS["scripts"])
    assert set(SCHEMAS["sources"]["properties"]) == set(sources.FILE_KEYS)
    assert set(SCHEMAS["unit_tests"]["anyOf"][0]["items"]["properties"]) == set(
        unit_tests.TEST_KEYS
    )
    (_, of_kinds) = SCHEMAS["model_header"]["$defs"]["check"]["anyOf"]
    assert set(KINDS) <= set(of_kinds["properties"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dagster_models", "{name: p, tragets: {}}"),
        ("dagster_models", "{targets: {}}"),
        ("dagster_models", "{name: p, fail_fast: maybe}"),
        ("dagster_models", "{name: p, targets: {dev: {type: duckdb, paht: x}}}"),
        ("dagster_models", "{name: p, targets: {dev: {type: duck}}}"),
        ("dagster_models", "{name: p, jobs: {a: {select: '*'}}}"),
        ("dagster_models", "{name: p, models: {marts: {materialized: tabel}}}"),
        ("dagster_models", "{name: p, max_concurrent: 0}"),
        ("dagster_models", "{name: p, partitions: {d: {evry: day}}}"),
        ("model_header", "{materialized: incremental, unique_keys: a}"),
        ("model_header", "{timeout: soon}"),
        ("model_header", "{columns: {a: {chekcs: [unique]}}}"),
        ("model_header", "{since: {colum: a}}"),
        ("model_header", "{checks: [{row_count: {error_if: '10'}}]}"),
        ("model_header", "{retries: {max_retries: two}}"),
        ("script_header", "{materialized: table}"),
        ("check_header", "{severty: warn}"),
        ("check_header", "{warn_if: 3}"),
        ("models", "{modles: []}"),
        ("models", "{models: {orders: {}}}"),
        ("models", "{models: [{description: x}]}"),
        ("models", "{models: [{name: a, kye: 1}]}"),
        ("models", "{models: [{name: a, config: {materialised: table}}]}"),
        ("models", "{seeds: [{name: a, materialized: table}]}"),
        ("models", "{models: [{name: a, columns: [{name: id, test: [unique]}]}]}"),
        ("models", "{unit_tests: [{model: a, name: b}]}"),
        ("sources", "{sources: [{tables: [a]}]}"),
        ("sources", "{sources: [{name: raw, tables: [{name: a, freshnes: null}]}]}"),
        ("unit_tests", "[{model: a, name: b}]"),
        ("unit_tests", "[{model: a, name: b, expct: [], expect: []}]"),
    ],
)
def test_an_editor_marks_it(name: str, text: str) -> None:
    assert errors(name, plain(text))


def taken(text: str) -> bool:
    """Whether the project takes each key of a YAML file beside a model and a seed of the name a."""
    files = [ProjectFile(f"{it}/a", it, ("a",), "", "", b"") for it in ("models", "seeds")]
    problems: list[Problem] = []
    read_described(files, [ProjectFile("a.yml", "", ("a",), "", text, b"x")], problems.append)
    return not any("unknown key" in it.what or "not supported" in it.what for it in problems)


@pytest.mark.parametrize("place", ["", "models", "snapshots", "seeds", "config"])
def test_a_key_of_a_file_beside_models_is_completed_if_the_project_takes_it(place: str) -> None:
    whole = SCHEMAS["models"]["properties"]
    every = {"nothing", *LATER, *whole}
    every.update(*(SCHEMAS[name]["properties"] for name in ("model_header", "script_header")))
    every.update(*(_entry(whole, key) for key in ("models", "seeds")))
    if not place:
        completed = whole
        texts = {key: f"models: []\n{key}: []" for key in every - {"models"}} | {"models": ""}
    else:
        section = place if place != "config" else "models"
        completed, form = _entry(whole, section), f"{section}: [{{name: a, {{}}: null}}]"
        if place == "config":
            (completed, _) = completed["config"]["anyOf"]
            completed, form = completed["properties"], "models: [{name: a, config: {{}: null}}]"
        texts = {key: form.replace("{}", key) for key in every - {"name"}}
        completed = {key: it for key, it in completed.items() if key != "name"}
    assert {key for key, text in texts.items() if taken(text)} == set(completed)


def _entry(whole: dict[str, Any], key: str) -> dict[str, Any]:
    (entries, _) = whole[key]["anyOf"]
    return dict(entries["items"]["properties"])


def test_what_no_schema_describes_is_known() -> None:
    """A key of a new type of value is to be described, or to be named here."""
    anything = {
        (name, key)
        for name in ("dagster_models", "model_header", "script_header", "sources")
        for key, schema in SCHEMAS[name]["properties"].items()
        if not schema
    }
    assert anything == {
        *(("model_header", key) for key in ("grants", "persist_docs", "upstream")),
        *(("model_header", key) for key in ("valid_to_current",)),
        *(
            ("model_header", f"{time}{word}")
            for time in ("pre", "post")
            for word in ("_statements", "_hook", "-hook")
        ),
        ("script_header", "upstream"),
        ("sources", "version"),
    }
