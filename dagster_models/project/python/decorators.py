"""Decorators that only pass on what the decorated function is given, as most do."""

from __future__ import annotations

import ast

from dagster_models.project.python.names import FUNCTIONS, FileNames, Function, arguments_of


def passes_on(definition: ast.AST, names: FileNames) -> bool:
    """Whether *definition* is a decorator, or makes one, whose inner functions take `*args` and
    `**kwargs` and do nothing with them but call the decorated function."""
    if not isinstance(definition, FUNCTIONS):
        return False
    inside = [node for node in ast.walk(definition) if node is not definition]
    if any(isinstance(node, (ast.Lambda, ast.ClassDef)) for node in inside):
        return False
    functions = [node for node in inside if isinstance(node, FUNCTIONS)]
    innermost = [function for function in functions if not _functions_in(function)]
    return bool(innermost) and all(_only_calls(function, names) for function in innermost)


def _functions_in(function: Function) -> list[ast.AST]:
    return [n for n in ast.walk(function) if n is not function and isinstance(n, FUNCTIONS)]


def _only_calls(function: Function, names: FileNames) -> bool:
    arguments = function.args
    if arguments.posonlyargs or arguments.args or arguments.kwonlyargs:
        return False
    own = {argument.arg for argument in arguments_of(function)}
    uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id in own]
    return all(_is_passed_on(use, names) for use in uses)


def _is_passed_on(use: ast.Name, names: FileNames) -> bool:
    """Whether *use* is `*args` or `**kwargs` in a call of a parameter of a function around it."""
    star = names.parents[use]
    is_star = isinstance(star, ast.Starred) or (isinstance(star, ast.keyword) and star.arg is None)
    call = names.parents[star] if is_star else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return False
    binding = names.only_meaning(call.func)
    return binding is not None and isinstance(binding.node, ast.arg)
