"""A test as it is written -> a UnitTest: its names are those of the project, its values fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.materializations import is_custom
from dagster_models.core.model import Key, Location, Project, Step
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import Given, GivenRows, UnitTest
from dagster_models.errors import Problem
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.function import is_function
from dagster_models.project.problems import Report, problem
from dagster_models.project.snapshot import is_snapshot
from dagster_models.project.unit_tests.reads import (
    ReadTables,
    known_columns,
    read_tables,
    steps_inside,
    wrong_reads,
)
from dagster_models.project.unit_tests.values import text_of
from dagster_models.project.variables import type_of, typed
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import nearest, suggest

#: The kinds whose whole build is in one transaction of one session.
TESTED = frozenset({"view", "table", "incremental", "snapshot", "ephemeral"})
#: What a model's own table is called in a test.
THIS = "this"


@dataclass(frozen=True, slots=True)
class Declared:
    """A test as it is written. ``values`` are those of its keys; of `model` and `vars` the nodes,
    of `given` a list of (name, place, rows)."""

    node: YamlNode
    values: Mapping[str, Any]

    def place(self, key: str) -> Location:
        return self.node.keys.get(key, self.node.place)


def is_meant(key: Key, name: str) -> bool:
    """Whether a test names the model so."""
    return name.lower() in (str(key).lower(), key.name.lower())


@dataclass(frozen=True, slots=True)
class Linker:
    """Resolves the names of the tests of one project, and reports what is wrong. ``typed`` is the
    project with the types of its seeds."""

    project: Project
    typed: Project
    built: Mapping[str, BuiltSchema]
    report: Report
    _seen: dict[tuple[Key, str], Location] = field(default_factory=dict)

    def linked(self, test: Declared) -> UnitTest | None:
        problems: list[Problem] = []
        step = self._model(test, problems)
        if step is not None and step.problems:  # which are reported with the project's own
            return None
        found = None if step is None else self._test(test, step, problems)
        for each in problems:
            self.report(each)
        return None if problems else found

    def columns(self, key: Key) -> Schema:
        return known_columns(self.typed, key, self.built.get(str(key)))

    def _model(self, test: Declared, problems: list[Problem]) -> Step | None:
        node: YamlNode = test.values["model"]
        every = [*self.project.steps.values(), *self.project.ephemerals.values()]
        found = [it for it in every if is_meant(it.key, str(node.value))]
        if len(found) == 1:
            if why := _refused(found[0]):
                problems.append(problem(why[0], node.place, why[1]))
                return None
            return found[0]
        if found:
            what = f"`{node.value}` may be {' or '.join(str(it.key) for it in found)}"
            problems.append(problem(what, node.place, "Write the schema too."))
        else:
            names = {spelled for it in every for spelled in (str(it.key), it.key.name)}
            fix = suggest(str(node.value), names, "Models")
            problems.append(problem(f"there is no model `{node.value}`", node.place, fix))
        return None

    def _test(self, test: Declared, step: Step, problems: list[Problem]) -> UnitTest:
        read = read_tables(self.project, step)
        problems += wrong_reads(step, read, test.place("model"))
        for key, what, fix in _idle(test, step):
            problems.append(problem(what, test.place(key), fix))
        values = test.values
        variables = self._variables(test, list(steps_inside(self.project, step, read)), problems)
        given: dict[Key, Given] = {}
        for name, place, rows in values["given"]:
            of = self._given(name, place, step, read, problems)
            if of in given:
                problems.append(problem(f"`given` has {of} twice", place, "Delete one of them."))
            elif of is not None:
                given[of] = rows
                problems += _wrong_rows(rows, self.columns(of), of)
        expect: Given = values["expect"]
        problems += _wrong_rows(expect, self.columns(step.key), step.key)
        problems += _incomplete(expect)
        problems += _wrong_since(test, self.columns(step.key), step)
        problems += _wrong_key(test, self.columns(step.key), step.key)
        first = self._seen.setdefault((step.key, values["name"]), test.place("name"))
        if first != test.place("name"):
            what = f"{step.key} has two tests of the name `{values['name']}` (first at {first})"
            problems.append(problem(what, test.place("name"), "Give one another name."))
        return UnitTest(
            step.key,
            values["name"],
            test.node.place,
            expect,
            given,
            variables,
            tuple(cell.written for cell in values.get("partition", ())),
            values.get("since"),
            values.get("now"),
            values.get("full_refresh", False),
            values.get("key", step.config.unique_key if not is_snapshot(step) else ()),
        )

    def _given(
        self, name: str, place: Location, step: Step, read: ReadTables, problems: list[Problem]
    ) -> Key | None:
        """What a name in `given` means."""
        found = read.names.get(name.lower(), set())
        if name.lower() == THIS and not found:
            if step.config.materialized in ("view", "ephemeral"):
                what = f"`this` is what the table held before, and {step.key} is a view"
                problems.append(problem(what, place, "Delete it."))
                return None
            return step.key
        if len(found) == 1:
            return next(iter(found))
        if found:
            what = f"`{name}` may be {' or '.join(sorted(map(str, found)))}"
            problems.append(problem(what, place, "Write the schema too."))
            return None
        inside = {str(key).lower(): key for key in (*read.inside, *read.functions)}
        inside.update({key.name.lower(): key for key in inside.values()})
        if name.lower() in inside:
            what = f"{inside[name.lower()]} is the real one: its query stands in {step.key}"
            fix = "Give the rows of what it reads."
        else:
            tables = [str(key) for key in read.tables]
            close = nearest(name, [*tables, *(key.name for key in read.tables)])
            what = f"{step.key} does not read `{name}`"
            fix = f"It reads: {', '.join(tables)}." if tables else "Delete it: it reads no table."
            fix = f"Did you mean `{close[0]}`?" if close else fix
        problems.append(problem(what, place, fix))
        return None

    def _variables(
        self, test: Declared, steps: list[Step], problems: list[Problem]
    ) -> dict[str, Any]:
        node: YamlNode | None = test.values.get("vars")
        known = {name: value for step in steps for name, value in step.variables.items()}
        try:
            values = fields.variables(node) if node is not None else {}
        except BadValue as bad:
            problems.append(problem(f"`vars`: {bad.what}", bad.place, bad.fix))
            return {}
        for name, value in values.items():
            assert node is not None
            if name not in known:
                fix = suggest(name, known, "Variables")
                problems.append(problem(f"there is no variable `{name}`", node.keys[name], fix))
                continue
            type_ = type_of(known[name])
            try:
                values[name] = typed(value, type_)
            except ValueError:
                said = fields.describe(node.value[name])
                what = f"the variable `{name}` is {type_}, and its value here is {said}"
                fix = "Write a value of that type."
                problems.append(problem(what, node.value[name].place, fix))
        fix = "Delete `vars` here: a test cannot give it other ones."
        if values and (generated := [step for step in steps if step.sql_line]):
            what = f"the query of {generated[0].key} is made by `def sql(vars)`, once for all tests"
            problems.append(problem(what, test.place("vars"), fix))
        for step in steps:
            if step.template and not values.keys().isdisjoint(step.template.variables):
                what = f"the template of {step.key} is rendered once for all tests"
                problems.append(problem(what, test.place("vars"), fix))
        return values


def _refused(step: Step) -> tuple[str, str] | None:
    """Why a step has no unit tests, and what to do."""
    if step.kind == "python":
        what = f"{step.key} is a Python model, whose code runs in a process of its own"
        return f"{what}: it does not see the rows of a test", "Test its functions with pytest."
    if step.kind in ("seed", "script"):
        return f"{step.key} is a {step.kind}, and unit tests are for SQL models", ""
    if is_function(step):
        return f"{step.key} is a function", "Test a model that calls it."
    if is_custom(step.config.materialized):
        return f"{step.key} is built by {step.config.materialized}, code of the project", ""
    if step.built_as not in TESTED:
        return f"{step.key} is `materialized: {step.built_as}`, which has no unit tests", ""
    return None


def _idle(test: Declared, step: Step) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong, fix) of settings that mean nothing for the model."""
    values, config = test.values, step.config
    if "since" in values and config.since is None:
        yield "since", f"{step.key} has no `since`", "Delete it."
    if values.get("partition") and step.partitions is None:
        yield "partition", f"{step.key} has no partitions", "Delete it."
    if values.get("full_refresh"):
        if is_snapshot(step) or config.materialized != "incremental":
            what = f"{step.key} is `materialized: {config.materialized}`, which is never built in"
            yield "full_refresh", f"{what} full", "Delete it."
        elif "since" in values:
            yield "since", "a full refresh does not read `$since`", "Delete it."


def _wrong_key(test: Declared, schema: Schema, of: Key) -> Iterator[Problem]:
    """The columns of `key` that the rows do not have which are compared."""
    expect: Given = test.values["expect"]
    if isinstance(expect, GivenRows) and expect.rows:
        known, who = list(expect.columns), "`expect`"
    elif schema.closed:
        known, who = [column for column, _ in schema.columns], str(of)
    else:
        return
    folded = {name.lower() for name in known}
    for name in test.values.get("key", ()):
        if name.lower() not in folded:
            what = f"`key` names `{name}`, a column that {who} does not have"
            yield problem(what, test.place("key"), suggest(name, known, "Columns"))


def _wrong_since(test: Declared, schema: Schema, step: Step) -> Iterator[Problem]:
    """A value of `$since` that is not of the type of its column."""
    if "since" not in test.values or step.config.since is None:
        return
    name = step.config.since.column.lower()
    type_ = next((type_ for column, type_ in schema.columns if column.lower() == name), "")
    try:
        text_of(test.values["since"], type_)
    except BadValue as bad:
        yield problem(f"`since`: {bad.what}", bad.place, bad.fix)


def _wrong_rows(rows: Given, schema: Schema, of: Key) -> Iterator[Problem]:
    """The columns that the table does not have, and the values that are not of their type."""
    if not isinstance(rows, GivenRows):
        return
    types = {name.lower(): type_ for name, type_ in schema.columns}
    for at, (name, place) in enumerate(rows.columns.items()):
        type_ = types.get(name.lower())
        if type_ is None and schema.closed:
            fix = suggest(name, [column for column, _ in schema.columns], "Columns")
            yield problem(f"{of} has no column `{name}`", place, fix)
        for row in rows.rows if type_ else ():
            try:
                if (cell := row[at]) is not None and type_:
                    text_of(cell, type_)
            except BadValue as bad:
                yield problem(f"`{name}`: {bad.what}", bad.place, bad.fix)


def _incomplete(expect: Given) -> Iterator[Problem]:
    """Rows that do not name all columns that others name: does such a row have a NULL there?"""
    if not isinstance(expect, GivenRows):
        return
    for row in expect.rows:
        missing = [name for name, cell in zip(expect.columns, row, strict=True) if cell is None]
        if missing:
            place = next((cell.place for cell in row if cell is not None), expect.location)
            what = f"`expect`: the row does not name `{missing[0]}`, which another row names"
            yield problem(what, place, "Write it, `null` if there is no value.")
