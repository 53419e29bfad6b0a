"""A part of a JSON or YAML file of dbt, read key by key: an error names the file and the key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dagster_models.errors import DagsterModelsError


class BadDbtFile(DagsterModelsError):
    """A file of dbt is not there, or is not as dbt writes it."""


@dataclass(frozen=True, slots=True)
class DbtEntry:
    """A mapping within a file. A key that is not there reads as one that is null: versions of dbt
    differ in what they write."""

    file: str
    key: str  #: where in the file, e.g. ``nodes.model.shop.orders.config``
    values: Mapping[str, Any]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.wrong(key, "a text")
        return value

    def text_or_none(self, key: str) -> str | None:
        return None if self.values.get(key) is None else self.text(key)

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a mapping")
        return value

    def list(self, key: str) -> tuple[Any, ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self.values.get(key)
        found = (value,) if isinstance(value, str) else self.list(key)
        if not all(isinstance(it, str) for it in found):
            raise self.wrong(key, "a list of texts")
        return found

    def entry(self, key: str) -> DbtEntry:
        return DbtEntry(self.file, self._below(key), self.mapping(key))

    def entries(self, key: str) -> Iterator[tuple[str, DbtEntry]]:
        """The mappings of a mapping, by their names."""
        below = self.entry(key)
        for name in below.values:
            yield name, below.entry(name)

    def wrong(self, key: str, expected: str) -> BadDbtFile:
        value = self.values.get(key)
        found = "is missing" if value is None else f"is {str(value)[:60]!r}"
        return BadDbtFile(f"{self.file}: {self._below(key)} {found}; expected {expected}")

    def _below(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else key


def read_json(path: Path) -> DbtEntry:
    try:
        return _whole(path, json.loads(_content(path), parse_constant=str))
    except json.JSONDecodeError as error:
        raise BadDbtFile(f"{path}: not JSON: {error}") from error


def read_yaml_file(path: Path) -> DbtEntry:
    """The error names the place alone: a line of profiles.yml may hold a password."""
    try:
        return _whole(path, yaml.safe_load(_content(path)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadDbtFile(f"{path}: not YAML{place}") from None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDbtFile(f"{path} cannot be read: {error}") from error


def _whole(path: Path, value: Any) -> DbtEntry:
    if value is not None and not isinstance(value, Mapping):
        raise BadDbtFile(f"{path}: the file is no mapping of keys")
    return DbtEntry(str(path), "", value or {})
