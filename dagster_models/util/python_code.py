"""The code of a Python text: what it runs, without comments, docstrings and formatting."""

from __future__ import annotations

import ast
import warnings

from dagster_models.util.digests import digest_of

_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_of(tree: ast.Module) -> str:
    """The code of a syntax tree, which loses its docstrings: equal for texts that run alike.

    It is ``ast.unparse`` and not ``ast.dump``: a dump's text differs between Python versions (3.12
    and 3.13 changed it), and an upgrade of Python must not look like a change of every model.
    """
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, _WITH_DOCSTRING) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def code_digest(data: bytes) -> str:
    """The digest of the code of a file's bytes; "" if they are not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape is the interpreter's business
            tree = ast.parse(data.decode("utf-8-sig", "replace"))
        return digest_of(code_of(tree).encode("utf-8", "surrogatepass"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _is_docstring(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return (
        isinstance(node, ast.Expr)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
    )
