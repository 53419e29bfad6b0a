"""What the loader takes from a Python file beside its queries: its imports and its code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from dagster_models.project.python.reads import seen_sql
from dagster_models.util.python_code import code_of


def module_paths(name: str) -> list[str]:
    """The files that importing *name* may run, relative to the project's folder."""
    parts = name.split(".")
    paths = ["/".join([*parts[:depth], "__init__.py"]) for depth in range(1, len(parts) + 1)]
    return [*paths, "/".join(parts) + ".py"]


def fingerprint(source: str, plain_sql: Callable[[str], str | None] = lambda text: None) -> str:
    """The code without comments, docstrings and formatting: equal for files that run alike.

    *plain_sql* returns a query without its comments and white space, None where that is not safe.
    It is applied to each text that can only be a query: one that is written in the call itself, or
    has a name that only such calls use. Case stays, as ``df["Total"]`` may rest on it.
    """
    tree = ast.parse(source)
    _simplify_sql(tree, plain_sql)
    return code_of(tree)


#: With these a program may reach its own texts in other ways than by their names.
_LOOKS_INSIDE = {"globals", "locals", "vars", "eval", "exec", "inspect", "ast", "__dict__", "dir"}


def _simplify_sql(tree: ast.Module, plain_sql: Callable[[str], str | None]) -> None:
    """Put the plain form of each query into its call, and remove the texts that it is made of where
    nothing else uses them."""
    simple = [
        (call, argument, plain)
        for call, argument, text in seen_sql(tree)
        if (plain := plain_sql(text)) is not None
    ]
    if not simple:
        return
    for_queries = {id(node): "" for _, argument, _ in simple for node in ast.walk(argument)}
    texts = list(_named_texts(tree))
    if _sees_itself(tree):
        texts = []
    for name, assignment in texts:
        for_queries.update(
            (id(node), name) for node in ast.walk(assignment) if node is not assignment
        )
    loads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    free = {name for name, _ in texts} - _named_otherwise(tree)
    while True:  # the parts of a name's text are free if the name is
        kept = {n.id for n in loads if id(n) not in for_queries}
        kept |= {n.id for n in loads if (by := for_queries.get(id(n))) and by not in free}
        if free.isdisjoint(kept):
            break
        free -= kept
    for call, argument, plain in simple:
        new = ast.copy_location(ast.Constant(plain), argument)
        if call.args:
            call.args[0] = new
        else:
            next(word for word in call.keywords if word.value is argument).value = new
    for name, assignment in texts:
        if name in free:
            assignment.value = ast.copy_location(ast.Constant(None), assignment)


def _named_texts(tree: ast.AST) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign]]:
    """Assignments like `QUERY = "select 1"`, with any text whose evaluation has no effect."""
    pure = (ast.Constant, ast.Name, ast.JoinedStr, ast.FormattedValue, ast.BinOp)
    around = (*pure, ast.Add, ast.Load)
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        plain = all(isinstance(part, around) for part in ast.walk(node.value))
        if plain and len(targets) == 1 and isinstance(targets[0], ast.Name):
            yield targets[0].id, node


def _sees_itself(tree: ast.AST) -> bool:
    """Whether the program may reach its own texts in other ways than by their names."""
    names = (getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree))
    return not _LOOKS_INSIDE.isdisjoint(names)


def _named_otherwise(tree: ast.AST) -> set[str]:
    """Names that are used otherwise than by a plain load: `self.QUERY`, `global QUERY`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            names.update(node.names)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


def line_of_function(source: str, name: str) -> int:
    """The line of ``def name`` at the top level of the file; 1 if there is none."""
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node.lineno
    return 1
