"""dbt's Python models -> ours.

dbt calls `model(dbt, session)`, and we call `model(warehouse)`. The author's code stays as it is,
under another name; a function behind it reads from the warehouse what the code asks `dbt` for.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.project.names import UnknownRef
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.renderer import Renderer

#: The module that each of them imports: its file in the written project, and its text.
MODULE = "dbt_python.py"
MODULE_TEXT = '''\
"""What dbt gives a Python model as `dbt` and `session`. Written by import-dbt."""

import duckdb


class Dbt:
    """`dbt`: what it reads of the warehouse is put into `session`, a DuckDB in memory.

    `refs` and `sources` have a function for each name, which reads the table.
    """

    def __init__(self, refs, sources, config, is_incremental):
        self._refs, self._sources = refs, sources
        self.config = Config(config)
        self.is_incremental = is_incremental
        self.session = duckdb.connect()

    def ref(self, *names, v=None, version=None):
        number = version if v is None else v
        key = ".".join(names) + (f".v{number}" if number is not None else "")
        return self.session.from_arrow(self._refs[key]().arrow())

    def source(self, *names):
        return self.session.from_arrow(self._sources[".".join(names)]().arrow())


def rows_of(made):
    """What a model returns, which may be a dataset of pyarrow in dbt."""
    return made.to_table() if hasattr(made, "get_fragments") else made


class Config:
    """`dbt.config`: what dbt's configuration says. Calling it sets nothing here."""

    def __init__(self, values):
        self._values = values

    def __call__(self, **given):
        return ""

    def get(self, key, default=None):
        return self._values.get(key, default)

    def meta_get(self, key, default=None):
        return self._values.get("meta", {}).get(key, default)
'''
_OURS = "dbt_model"  #: the author's function
_KNOWN = ("ref", "source", "config", "is_incremental")


def python_text(node: DbtNode, renderer: Renderer) -> str:
    """The file of a Python model, without a header. Raises NotImportable."""
    adapter = renderer.manifest.adapter_type
    if adapter != "duckdb":
        raise NotImportable(f"it is a model in Python, whose frames are those of {adapter}")
    tree = _tree(node.raw_code)
    function = _model(tree)
    _refuse_unknown(function)
    try:
        names = _names(node, renderer)
    except UnknownRef as error:
        raise NotImportable(str(error)) from None
    entries = {kind: _functions(found) for kind, found in names.items()}
    is_incremental = "warehouse.is_incremental" if node.materialized == "incremental" else "False"
    return (
        f"{_renamed(node.raw_code, tree, function).strip()}\n\n\n"
        "# What follows was added by import-dbt.\n\n"
        f"from {MODULE.removesuffix('.py')} import Dbt, rows_of\n\n\n"
        "def model(warehouse):\n"
        f"    refs = {entries['refs']}\n"
        f"    sources = {entries['sources']}\n"
        f"    config = {_config(node)!r}\n"
        f"    dbt = Dbt(refs, sources, config, {is_incremental})\n"
        f"    return rows_of({_OURS}(dbt, dbt.session))\n"
    )


def uses_session(node: DbtNode) -> bool:
    """Whether an importable model asks its session for anything, which is another one here."""
    function = _model(_tree(node.raw_code))
    name = function.args.args[1].arg
    return any(isinstance(it, ast.Name) and it.id == name for it in ast.walk(function))


def _tree(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings():  # of `\\d` in a text, which is no mistake of the import
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise NotImportable(f"its Python cannot be read: {error}") from None


def _model(tree: ast.Module) -> ast.FunctionDef:
    found = [it for it in tree.body if isinstance(it, ast.FunctionDef) and it.name == "model"]
    if len(found) != 1 or len(found[0].args.args) != 2:
        raise NotImportable("it defines no function model(dbt, session)")
    return found[0]


def _refuse_unknown(function: ast.FunctionDef) -> None:
    """Raise NotImportable for what the code asks `dbt` for and does not get here."""
    name = function.args.args[0].arg
    attributes = (it for it in ast.walk(function) if isinstance(it, ast.Attribute))
    of_dbt = (it for it in attributes if isinstance(it.value, ast.Name) and it.value.id == name)
    for it in of_dbt:
        if it.attr not in _KNOWN:
            raise NotImportable(f"it asks for {name}.{it.attr}")


def _names(node: DbtNode, renderer: Renderer) -> Mapping[str, Mapping[str, str]]:
    """What `dbt.ref` and `dbt.source` are asked for -> the name of the table here."""
    placeholders, names = renderer.placeholders, renderer.placeholders.names
    refs = {}
    for it in node.given.get("refs") or ():
        package, name, version = it.get("package"), str(it["name"]), it.get("version")
        asked = None if version is None else str(version)
        key = ".".join([*filter(None, (package, name)), *([f"v{asked}"] if asked else ())])
        refs[key] = placeholders.word(names.ref(node, name, package, asked).unique_id)
    sources = {}
    for source_name, name in node.given.get("sources") or ():
        found = names.source(node, source_name, name).unique_id
        sources[f"{source_name}.{name}"] = placeholders.word(found)
    named = {"refs": refs, "sources": sources}
    return {
        kind: {key: placeholders.named(word).text for key, word in words.items()}
        for kind, words in named.items()
    }


def _functions(tables: Mapping[str, str]) -> str:
    """A dict that has a function for each table. Their names stand where a load reads them."""
    lines = [f"        {key!r}: lambda: warehouse.table({it!r}),\n" for key, it in tables.items()]
    return f"{{\n{''.join(lines)}    }}" if lines else "{}"


def _config(node: DbtNode) -> dict[str, Any]:
    """What the code asks `dbt.config` for."""
    asked = node.config.get("config_keys_used") or ()
    defaults = node.config.get("config_keys_defaults") or ()
    values = {key: node.config.get(key, it) for key, it in zip(asked, defaults, strict=False)}
    if node.config.get("meta_keys_used"):
        values["meta"] = dict(node.meta)
    return values


def _renamed(code: str, tree: ast.Module, function: ast.FunctionDef) -> str:
    """The code, in which the function has another name. Its docstring becomes comments, as the
    first one in a file of ours has the header."""
    lines = _LINE.findall(code)
    at = function.lineno - 1
    start = len(lines[at].encode()[: function.col_offset].decode())
    lines[at] = lines[at][:start] + _DEF.sub(f"def {_OURS}", lines[at][start:], count=1)
    if ast.get_docstring(tree) is not None:
        first = tree.body[0]
        end = first.end_lineno or first.lineno
        rest = lines[end - 1].encode()[first.end_col_offset :].decode().lstrip(" \t\r\n;")
        lines[first.lineno - 1 : end] = [*_comments(ast.get_docstring(tree) or ""), rest]
    return "".join(lines)


#: A line as Python counts them: a form feed ends none.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_DEF = re.compile(r"def\s+model\b")


def _comments(text: str) -> Iterator[str]:
    yield from (f"# {line}".rstrip() + "\n" for line in text.splitlines())
