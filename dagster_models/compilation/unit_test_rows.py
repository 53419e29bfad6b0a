"""The rows that a test writes out, as a query."""

from __future__ import annotations

from collections.abc import Mapping

from dagster_models.core.model import Key
from dagster_models.core.traced import Schema
from dagster_models.core.unit_tests import Cell, GivenRows
from dagster_models.errors import ProjectError
from dagster_models.project.problems import problem
from dagster_models.project.unit_tests.reads import ColumnsRead
from dagster_models.project.unit_tests.values import text_of
from dagster_models.project.yaml.fields import BadValue
from dagster_models.sql.fill_in import literal, nested_literal, quote
from dagster_models.util.nearest import suggest


def columns_of(
    key: Key,
    rows: GivenRows,
    known: Schema,
    read: ColumnsRead,
    *,
    is_given: bool,
) -> dict[str, str]:
    """The columns of the table, each with its type: all that are known, but for those whose type is
    not, and that neither the rows name nor the model reads.

    Raises ProjectError for a column whose type is not known otherwise.
    """
    types = {name.lower(): (name, type_) for name, type_ in known.columns}
    problems = []
    fix = (
        f"Declare its type (`columns: {{name: {{type: ...}}}}` of {key}, or of what it reads), or"
        f" build {key} once: then a test takes the types of the table."
    )
    for name, place in rows.columns.items():
        if name.lower() not in types and known.closed:
            near = suggest(name, [column for column, _ in known.columns], "Columns")
            problems.append(problem(f"{key} has no column `{name}`", place, near))
        elif not types.get(name.lower(), ("", ""))[1]:
            what = f"the type of {key}.{name} is not known"
            problems.append(problem(what, place, fix))
    typed = {name: type_ for name, type_ in known.columns if type_}
    untyped = [name for name, type_ in known.columns if not type_ and read.may_hold(key, name)]
    if not known.closed:
        untyped += [name for low, name in read.columns.get(key, {}).items() if low not in types]
    if not problems and (untyped or not typed):
        why = "its columns are not known"
        if untyped:
            why = f"the model reads {', '.join(untyped)}, and that type is not known"
        what = f"no table {key} can be made for the test: {why}"
        fix = fix if is_given else f"{fix} Or give its rows as a query: `{{sql: select ...}}`."
        problems.append(problem(what, rows.location, fix))
    if problems:
        raise ProjectError(problems)
    return typed


def rows_query(rows: GivenRows, types: Mapping[str, str], dialect: str) -> str:
    """A query that returns the rows, with all columns of *types*; what a row does not name is NULL.

    Raises ProjectError for a value that is not of its column's type.
    """
    if not rows.rows:
        listed = (
            f"CAST(NULL AS {type_}) AS {quote(name, dialect)}" for name, type_ in types.items()
        )
        return f"SELECT {', '.join(listed)} WHERE 1 = 0"
    at = {name.lower(): index for index, name in enumerate(rows.columns)}
    problems, lines = [], []
    for row in rows.rows:
        cells = []
        for name, type_ in types.items():
            index = at.get(name.lower())
            try:
                cells.append(cast_of(None if index is None else row[index], type_, dialect))
            except BadValue as bad:
                problems.append(problem(f"`{name}`: {bad.what}", bad.place, bad.fix))
        lines.append(f"({', '.join(cells)})")
    if problems:
        raise ProjectError(problems)
    names = ", ".join(quote(name, dialect) for name in types)
    return f"SELECT * FROM (VALUES {', '.join(lines)}) AS given ({names})"


def cast_of(cell: Cell | None, type_: str, dialect: str) -> str:
    """The value as SQL. Raises BadValue if it is not of the type.

    A list or a mapping is cast as the literal that it has in SQL, as dbt does: as a text it has
    another form, and a text that is one cannot be cast to each nested type.
    """
    if cell is not None and isinstance(cell.value, (list, dict)) and cell.value:
        return f"CAST({_nested(cell, dialect)} AS {type_})"
    text = None if cell is None else text_of(cell, type_)
    return f"CAST({literal(text, dialect)} AS {type_})"


def _nested(cell: Cell, dialect: str) -> str:
    try:
        return nested_literal(cell.value, dialect)
    except TypeError as error:
        raise BadValue(str(error), cell.place, "Write the rows as a query.") from None
