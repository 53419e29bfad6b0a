"""The rows of a unit test: written out, in a CSV file, or a query of no relation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_models.core.model import Location
from dagster_models.core.unit_tests import Cell, Given, GivenQuery, GivenRows
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.jinja import refuse_jinja
from dagster_models.sql.parse import parse_sql
from dagster_models.util import csv_table
from dagster_models.util.csv_table import BadCsv

_FORMS = ("rows", "csv", "sql")
_WORDS_OF_DBT = frozenset({"rows", "format", "fixture"})
_TESTS = ("unit_tests", "tests")  #: the folders of fixtures
_FIX = "Write a list of rows, or `{csv: file.csv}`, or `{sql: select ...}`."


@dataclass(frozen=True, slots=True)
class RowsReader:
    """Reads the rows of the tests of one project."""

    root: str
    dialect: str

    def read(self, node: YamlNode) -> Given:
        """A list of rows, or a mapping with `rows`, `csv` or `sql`. Raises BadValue."""
        if isinstance(node.value, list):
            return self._rows(node)
        if not isinstance(node.value, dict):
            raise BadValue(f"expected rows, got {fields.describe(node)}", node.place, _FIX)
        written: Mapping[str, YamlNode] = node.value
        if {*written} <= _WORDS_OF_DBT and {"rows", "fixture"}.intersection(written):
            return self._of_dbt(node, written)
        fields.refuse_unknown(node, _FORMS)
        if len(written) != 1:
            raise BadValue("expected one of rows, csv and sql", node.place, _FIX)
        ((form, inner),) = written.items()
        return self._in_form(form, inner)

    def _of_dbt(self, node: YamlNode, written: Mapping[str, YamlNode]) -> Given:
        form = "dict"
        if "format" in written:
            form = fields.OneOf("dict", "csv", "sql")(written["format"])
        fixture = written.get("fixture")
        if fixture is None or fixture.value is None:
            rows = written.get("rows", YamlNode(None, node.place))
            return self._in_form("rows" if form == "dict" else form, rows)
        if "rows" in written:
            raise BadValue("expected either rows or a fixture", node.place, "Delete one of them.")
        if form == "dict":
            fix = "Write `format: csv` or `format: sql` beside it."
            raise BadValue("a fixture is a file, and no list of rows", fixture.place, fix)
        return self._fixture(fields.text(fixture), form, fixture)

    def _fixture(self, name: str, form: str, node: YamlNode) -> Given:
        """A file of that name in a folder `fixtures`, wherever that is below the tests."""
        file = f"{name.removesuffix(f'.{form}')}.{form}"
        every = (path for folder in _TESTS for path in Path(self.root, folder).rglob(f"*.{form}"))
        found = sorted(
            path.relative_to(self.root).as_posix()
            for path in every
            if path.name == file and "fixtures" in path.relative_to(self.root).parts
        )
        if len(found) != 1:
            what = f"there is no fixture {file}" if not found else f"{' and '.join(found)} have it"
            fix = f"Put one file {file} into unit_tests/fixtures/."
            raise BadValue(what, node.place, fix)
        data = self._bytes(found[0], node)
        if form == "csv":
            return _csv(data, node.place, found[0], 1)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            fix = "Save the file as UTF-8."
            raise BadValue(f"{found[0]} is not UTF-8", node.place, fix) from None
        return self._query(text, YamlNode(None, Location(found[0])))

    def _in_form(self, form: str, node: YamlNode) -> Given:
        if form == "rows":
            return self._rows(node)
        text = fields.text(node)
        if form == "csv":
            return _inline_csv(text, node) if "\n" in text else self._csv_file(text, node)
        return self._query(text, node)

    def _csv_file(self, name: str, node: YamlNode) -> GivenRows:
        """A file beside the one that names it."""
        path = os.path.normpath(os.path.join(os.path.dirname(node.place.path), name))
        return _csv(self._bytes(path, node), node.place, path, 1)

    def _bytes(self, path: str, node: YamlNode) -> bytes:
        try:
            with open(os.path.join(self.root, path), "rb") as file:
                return file.read()
        except OSError as error:
            fix = f"The path starts in {os.path.dirname(node.place.path)}/."
            what = f"{path} cannot be read: {error.strerror}"
            raise BadValue(what, node.place, fix) from None

    def _rows(self, node: YamlNode) -> GivenRows:
        return _given_rows(node, nested=dialect_of(self.dialect).nested_literals)

    def _query(self, text: str, node: YamlNode) -> GivenQuery:
        first = node.place.line + 1 if node.is_block else node.place.line
        try:
            refuse_jinja(text, self.dialect, in_literals=True)
            parsed = parse_sql(text, self.dialect)
        except SqlSyntaxError as error:
            place = Location(node.place.path, first + error.line - 1, node.place.column)
            fix = "Write one query that returns the rows."
            raise BadValue(error.what, place, fix) from None
        for reference in parsed.references:
            if reference.certain:
                place = Location(node.place.path, first + reference.line - 1, node.place.column)
                fix = "Write its rows out: `select 1 as id union all select 2`."
                what = f"the query reads {reference.name}, and a test has no rows but its own"
                raise BadValue(what, place, fix)
        return GivenQuery(node.place, text, first)


def _given_rows(node: YamlNode, *, nested: bool) -> GivenRows:
    """*nested*: a value may be a list or a mapping."""
    items = node.value if isinstance(node.value, list) else None
    if items is None:
        if node.value is None:
            return GivenRows(node.place)
        raise BadValue(f"expected a list of rows, got {fields.describe(node)}", node.place, _FIX)
    names: dict[str, str] = {}  # in lower case -> as it is written first
    columns: dict[str, Location] = {}
    found: list[dict[str, Cell]] = []
    for item in items:
        if not isinstance(item.value, dict):
            fix = "Write each row as `{column: value, ...}`."
            raise BadValue(f"expected a row, got {fields.describe(item)}", item.place, fix)
        row: dict[str, Cell] = {}
        for name, place, value in item.items():
            known = names.setdefault(name.lower(), name)
            columns.setdefault(known, place)
            if known in row:
                raise BadValue(f"the row has `{name}` twice", place, "Delete one of them.")
            row[known] = _cell(value, nested=nested)
        found.append(row)
    return GivenRows(
        node.place, columns, tuple(tuple(row.get(name) for name in columns) for row in found)
    )


def _cell(node: YamlNode, *, nested: bool) -> Cell:
    if isinstance(node.value, (dict, list)):
        if nested:
            value = node.plain()
            return Cell(value, str(value), node.place)
        fix = "Write the rows as a query: `{sql: select ...}`."
        raise BadValue(f"{fields.describe(node)} cannot be a value of a row", node.place, fix)
    return Cell(node.value, None if node.value is None else node.written, node.place)


def _inline_csv(text: str, node: YamlNode) -> GivenRows:
    first = node.place.line + 1 if node.is_block else node.place.line
    return _csv(text.encode(), node.place, node.place.path, first)


def _csv(data: bytes, location: Location, path: str, first_line: int) -> GivenRows:
    """An empty cell is NULL, as in a seed."""

    def place(line: int) -> Location:
        return Location(path, first_line + line - 1)

    try:
        found = csv_table.read(data)
        if found.bad is not None:
            raise found.bad
    except BadCsv as error:
        raise BadValue(str(error), place(error.line), "Correct the CSV.") from None
    folded = [name.lower() for name in found.names]
    if len(set(folded)) < len(folded) or "" in folded:
        raise BadValue("its columns have no name, or one twice", place(1), "Name them apart.")
    rows: list[tuple[Any, ...]] = [
        tuple(Cell(cell, cell, place(line)) for cell in row)
        for line, row in zip(found.lines, zip(*found.columns, strict=True), strict=True)
    ]
    return GivenRows(location, dict.fromkeys(found.names, place(1)), tuple(rows))
