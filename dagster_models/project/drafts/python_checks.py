"""Drafts of the Python files of checks/."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from dagster_models.core.checks import CheckCode
from dagster_models.core.model import Config, Key, Location, Step
from dagster_models.core.stand_ins import STARTED
from dagster_models.errors import Problem, SqlSyntaxError
from dagster_models.project.config import PYTHON_CHECK_KEYS
from dagster_models.project.drafts.checks import check_of_header, model_of_header
from dagster_models.project.drafts.draft import CheckDraft, Draft, DraftContext
from dagster_models.project.drafts.python import draft_code
from dagster_models.project.drafts.step import declared_uses, parse_header, unset_variable
from dagster_models.project.files import ProjectFile
from dagster_models.project.header import python_header
from dagster_models.project.problems import Report, problem
from dagster_models.project.python.reads import parsed
from dagster_models.project.yaml.fields import read_mapping
from dagster_models.util.digests import digest_of

#: At the beginning of a line, perhaps after the quotes of the docstring.
_HEADER = re.compile(r"""^([rRuU]?(?:\"{3}|'{3}|"|')?[ \t]*)@check(?=\s|$)""", re.MULTILINE)


def draft_python_check(file: ProjectFile, context: DraftContext) -> CheckDraft:
    """The draft of a .py file of checks/, with ``def check(warehouse)``."""
    # `@check` and `@model` are equally long, so the places stay right.
    text = _HEADER.sub(r"\1@model", file.text, count=1)
    header = parse_header(python_header(text), file, context.report)
    values = read_mapping(header, PYTHON_CHECK_KEYS, context.report)
    name = values.get("name", file.name)
    check = check_of_header(name, values, Location(file.path))
    broken = CheckDraft(check, (), model_of_header(name, values), broken=True)
    function = _function_of(file, context.report)
    if function is None:
        return broken
    step = Step(
        Key("checks", file.name),
        "python",
        Location(file.path),
        Config(upstream=tuple(it.name for it in values.get("upstream", ()))),
        None,
        variables=context.settings.variables.values,
        digest=digest_of(file.data),
    )
    bare = Draft(step, declared_uses(values, "upstream"))
    made = draft_code(bare, file, context, entry="check")
    _refuse_start(made.step, file, context)
    code = CheckCode(step.digest, made.step.code, made.step.modules, made.step.queries)
    uses = []
    for use in made.uses:
        if use.is_written:
            what = f"the check `{name}` writes to {use.written}, and a check only reads"
            context.report(problem(what, use.place, "Write in a model or a script."))
        elif not use.given_to and not use.may_be_temporary:
            uses.append(replace(use, check=name))
    place = Location(file.path, function.lineno)
    check = replace(check, location=place, test="python", function=code)
    return replace(broken, check=check, uses=tuple(uses), broken=False)


def _function_of(file: ProjectFile, report: Report) -> ast.FunctionDef | None:
    """The ``def check``; None if there is none that can be called, which is reported."""
    try:
        tree, _ = parsed(file.text)
    except SqlSyntaxError as error:
        report(Problem(error.what, file.path, error.line, error.column, error.fix))
        return None
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    function = next((node for node in functions if node.name == "check"), None)
    if function is None:
        what = "a Python check needs `def check(warehouse)`"
        fix = "Define one, without `async`. The name of a file that others import begins with `_`."
        report(Problem(what, file.path, 1, 1, fix))
    elif not _takes_one(function):
        what, fix = "`check` must take one argument", "Write `def check(warehouse)`."
        report(Problem(what, file.path, function.lineno, function.col_offset + 1, fix))
        return None
    return function


def _takes_one(function: ast.FunctionDef) -> bool:
    """Whether it can be called with one argument. What a decorator makes of it is not known."""
    given = function.args
    places = len(given.posonlyargs) + len(given.args)
    takes = (places > 0 or given.vararg is not None) and places - len(given.defaults) <= 1
    return bool(function.decorator_list) or (takes and None not in given.kw_defaults)


def _refuse_start(step: Step, file: ProjectFile, context: DraftContext) -> None:
    """Report the moment at which a run began, which a check does not know: it may run alone."""
    for text in step.queries:
        found = context.texts.parse(text, context.settings.dialect, queries_only=False)
        if STARTED in (holder.name for holder in found.placeholders):
            context.report(unset_variable(STARTED, Location(file.path), step.variables))
