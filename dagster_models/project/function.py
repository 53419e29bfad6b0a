"""Functions: what their header and their text must say, and what their callers may rely on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dagster_models.core.model import Location, Step
from dagster_models.core.traced import Schema
from dagster_models.errors import Problem
from dagster_models.project.config import FUNCTION
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.parsed import ParsedSql

#: The keys that only functions have.
KEYS = ("arguments", "returns")


def is_function(step: Step) -> bool:
    return step.config.materialized == FUNCTION


def check_header(step: Step, header: YamlNode | None, report: Report) -> None:
    """Report what the header of a function lacks, or says without a meaning."""
    written: Mapping[str, Location] = header.keys if header is not None else {}
    place = written.get("materialized", step.location)
    if not step.config.returns and "returns" not in written:
        fix = "Add `returns: type`, or `returns: {column: type, ...}` for a table."
        report(problem("a function needs `returns`", place, fix))
    for name, _ in step.config.arguments:
        if name in step.variables:
            what = f"`{name}` is both an argument and a variable"
            fix = "Give one of them another name."
            report(problem(what, written.get("arguments", place), fix))
    for check in step.checks:
        what = f"{step.key} is a function, and the check `{check.name}` needs a relation"
        fix = f"Write a query that returns wrong results into checks/, with `model: {step.key}`."
        report(problem(what, check.location, fix))


def check_text(step: Step, parsed: ParsedSql, dialect: str, report: Report) -> None:
    """Report a name that no call could mean, and arguments without a use."""
    if not is_function(step):
        return
    from dagster_models.sql.parse import is_function_name

    name = step.key.name
    if not is_function_name(name, dialect):
        what = f"`{name}` is a function or a word of {dialect}, so that no call would mean this one"
        report(Problem(what, step.location.path, 1, 1, "Rename the file."))
    used = {holder.name for holder in parsed.placeholders}
    for argument, _ in step.config.arguments:
        if argument not in used:
            what = f"the argument `{argument}` is not used"
            written = dialect_of(dialect).placeholder(argument)
            fix = f"Write `{written}` where its value belongs, or delete it."
            report(problem(what, step.location, fix, "warning"))


def known_schema(step: Step, word: Callable[[str], str]) -> Schema:
    """The columns of the table that the function returns. One value is a column without a name,
    which is closed if it is made of nothing but the arguments."""
    columns = tuple((name, word(type_)) for name, type_ in step.config.returns)
    is_table = bool(columns) and columns[0][0] != ""
    return Schema(columns, closed=is_table or not step.upstream, certain=is_table)
