"""One template -> its text, with the renderer of the import: macros are looked up as dbt does, and
relations come out as placeholders that become names of our SQL."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

from jinja2 import Template, TemplateSyntaxError, Undefined, UndefinedError, nodes

from dagster_models.core.model import EMPTY
from dagster_models.core.template_origin import TemplateOrigin
from dagster_models.dbt.project.entry import DbtEntry
from dagster_models.dbt.project.manifest import DbtMacro, DbtNode, DbtRelation, Manifest
from dagster_models.dbt.project.project_files import DbtProject
from dagster_models.dbt.templates.context import (
    TemplateAsks,
    TemplateConfig,
    TemplateTarget,
    TemplateVar,
    Unknown,
    env_var_of,
    modules_without_clock,
    unknown_values,
)
from dagster_models.dbt.templates.errors import Refused
from dagster_models.dbt.templates.marks import lines_of_both, marked_template, without_marks
from dagster_models.dbt.templates.names import ProjectNames, ProjectPlaceholders
from dagster_models.dbt.text.context import Seen, refusing
from dagster_models.dbt.text.errors import NeedsWarehouse, NotImportable
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.regions import with_regions
from dagster_models.dbt.text.relations import RelationObject
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.template import MACRO, parsed
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.files import MACROS, PACKAGES
from dagster_models.project.templates import ModelTemplate, Rendered, TemplateError, TemplateProject
from dagster_models.sql.literals import has_tokens

_NO_ENTRY = DbtEntry("", "", {})
_DEEPEST = 20  #: values within values of a setting; one that contains itself has no end
_MACROS = f"Macros are read from {MACROS}/, and those of a package from {PACKAGES}/<package>/."


#: Blocks that dbt has in files of their own, and which render as nothing: what to do instead.
_BLOCKS = {
    "snapshot": ", and `materialized: snapshot` into the header",
    "macro": f", and put the macro into {MACROS}/",
}


#: A text, and for each of its lines the line of the template.
_Marked: TypeAlias = "tuple[str, tuple[int, ...]]"


@dataclass
class TemplateRenderer:
    """Renders the templates of one project."""

    project: TemplateProject
    names: ProjectNames
    macros: Mapping[str, DbtMacro]

    @cached_property
    def _renderer(self) -> Renderer:
        project = self.project
        own = DbtProject(project.name, Path(), EMPTY, project.dispatch, "", _NO_ENTRY)
        manifest = Manifest(
            Path(),
            project.name,
            project.dialect,
            "",
            nodes=EMPTY,
            sources=EMPTY,
            macros=self.macros,
            projects={project.name: own},
            given=EMPTY,
            **dict.fromkeys(_UNUSED, EMPTY),
        )
        placeholders: Placeholders = ProjectPlaceholders(manifest, self.names, project.dialect)
        return Renderer(manifest, placeholders, EMPTY)

    def render(self, template: ModelTemplate, asked: TemplateAsks) -> Rendered:
        """What comes out of a template. What it asks for is put into *asked*.

        Raises:
            TemplateError: it cannot be rendered.
        """
        path, line = template.file.path, _TemplateLines(template.file.path)
        try:
            tree = parsed(template.file.text, path)
            _refuse_blocks(tree)
            asked.config_line = _line_of_config(tree)
            rendered = self._rendered(marked_template(tree, path), template, asked)
            rendered.text.encode()
            return rendered
        except TemplateError:
            raise
        except TemplateSyntaxError as error:
            raise TemplateError(f"Jinja: {error.message}", line.of(error)) from None
        except UnicodeEncodeError:
            raise TemplateError("its text has a half of a character (a surrogate)", 1) from None
        except (NotImportable, SqlSyntaxError) as error:
            what, fix = _said(error)
            raise TemplateError(f"{what}{line.macro(error)}", line.of(error), fix) from None

    def _rendered(self, jinja: Template, template: ModelTemplate, asked: TemplateAsks) -> Rendered:
        placeholders = self._renderer.placeholders
        full = without_marks(self._text(jinja, template, asked, False))
        if asked.config and asked.settings:  # what it asks for may be said behind the question
            full = without_marks(self._text(jinja, template, asked, False))
        settings = _settings(asked, placeholders)  # dbt asks where nothing is there yet
        text, lines = full
        if self._materialized(template, asked) == "incremental":
            text, lines = self._both(full, without_marks(self._text(jinja, template, asked, True)))
        target = any(kind == "target" for kind, *_ in asked.questions)
        variables = sorted(about[0] for kind, *about in asked.questions if kind == "var")
        name = self.project.target_name if target else ""
        tokens = has_tokens(text, placeholders.dialect)
        return Rendered(
            placeholders.named(text).text if tokens else placeholders.as_dbt(text),
            TemplateOrigin(lines, name, tuple(variables)),
            settings,
            asked.config_line,
            frozenset(asked.settings),
        )

    def _both(self, full: _Marked, later: _Marked) -> _Marked:
        """A text with both readings. If one of them is no SQL it is that one, which is reported
        where it is parsed. Raises Refused."""
        dialect = self._renderer.placeholders.dialect
        if broken := next((it for it in (full, later) if not has_tokens(it[0], dialect)), None):
            return broken
        merged = with_regions(later[0], full[0], dialect)
        if merged is None:
            fix = "Put what both builds have in common outside of `is_incremental()`."
            raise Refused("no text has both sides of is_incremental()", fix)
        return merged, lines_of_both(merged, later, full)

    def _materialized(self, template: ModelTemplate, asked: TemplateAsks) -> str:
        return str(template.settings(asked.config).get("materialized", ""))

    def _text(
        self, jinja: Template, template: ModelTemplate, asked: TemplateAsks, incremental: bool
    ) -> str:
        """The text, with marks and placeholders. Raises NotImportable."""
        renderer, node = self._renderer, self._node(template, asked)
        context = renderer.context(node, incremental, Seen())
        own = self._own_context(template, asked)
        context.update({key: it for key, it in own.items() if key not in renderer.overridden})
        context["builtins"].update({key: own[key] for key in ("ref", "config")})
        return str(renderer.guarded(lambda: jinja.render(context)))

    def _own_context(self, template: ModelTemplate, asked: TemplateAsks) -> dict[str, Any]:
        settings = template.settings(asked.config)
        key, path = template.key, template.file.path
        model = {
            "name": key.name,
            "alias": key.name,
            "schema": key.schema,
            "database": None,
            "unique_id": str(key),
            "resource_type": "model",
            "path": path,
            "config": settings,
            "original_file_path": path,
            "package_name": self.project.name,
            "columns": {},
            **{name: settings.get(name) or {} for name in ("meta", "tags")},
        }
        modules: SimpleNamespace = self._renderer.static["modules"]
        return {
            "config": TemplateConfig(template, asked),
            "var": TemplateVar(template, asked),
            "target": TemplateTarget(self.project, asked),
            "env_var": env_var_of(self.project, asked),
            "ref": self._ref(asked),
            "model": model,
            "node": model,
            "modules": modules_without_clock(modules),
            **unknown_values(),
            **self._asks_warehouse(),
        }

    def _asks_warehouse(self) -> dict[str, Any]:
        """dbt's own macros that ask the warehouse, where the project does not have them."""
        known = self._renderer.macros.visible(self.project.name)
        return {it: refusing(f"{it}()") for it in ("run_query", "statement") if it not in known}

    def _ref(self, asked: TemplateAsks) -> Callable[..., Any]:
        def ref(*names: str, v: Any = None, version: Any = None) -> Any:
            if not 1 <= len(names) <= 2:
                raise Refused("ref() takes a name, or a package and a name", "")
            package, name = names if len(names) == 2 else (None, names[0])
            number = v if v is not None else version
            wanted = None if number is None else str(number)
            asked.about("ref", str(name), package or "", wanted or "")
            found = self.names.ref(_NOBODY, str(name), package, wanted)
            return self._renderer.relation(found.unique_id)

        return ref

    def _node(self, template: ModelTemplate, asked: TemplateAsks) -> DbtNode:
        key = template.key
        return replace(
            _NOBODY,
            unique_id=str(key),
            package=self.project.name,
            name=key.name,
            path=template.file.path,
            relation=DbtRelation(None, key.schema, key.name, None),
            config={"materialized": self._materialized(template, asked)},
        )


def _settings(asked: TemplateAsks, placeholders: Placeholders) -> dict[str, Any]:
    """What `config()` was given, in which relations are names. Raises TemplateError."""
    try:
        return {key: _plain(value, key, placeholders) for key, value in asked.config.items()}
    except NotImportable as error:
        what, fix = _said(error)
        raise TemplateError(what, asked.config_line, fix) from None


def _plain(value: Any, key: str, placeholders: Placeholders, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        what = f"config() was given values within values for `{key}`, more than {_DEEPEST} deep"
        raise Refused(what, "Delete some, or what puts one into itself.")
    if isinstance(value, (str, RelationObject, Unknown)):
        text = str(value)  # which is refused if it is unknown
        is_sql = has_tokens(text, placeholders.dialect)  # and not "it's", a description
        return placeholders.named(text).text if is_sql else placeholders.as_dbt(text)
    if isinstance(value, Mapping):
        return {str(name): _plain(it, key, placeholders, depth + 1) for name, it in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)  # its own order is another one in each process
    if isinstance(value, (list, tuple)):
        return [_plain(it, key, placeholders, depth + 1) for it in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dt.date):
        day = dt.date(value.year, value.month, value.day)
        return dt.datetime.combine(day, value.timetz()) if isinstance(value, dt.datetime) else day
    kind = "what is not defined" if isinstance(value, Undefined) else f"a {type(value).__name__}"
    fix = "Give it texts, numbers, lists or mappings; `| list` makes a list of what a filter gives."
    raise Refused(f"config() was given {kind} for `{key}`", fix)


_UNUSED = (
    *("exposures", "unit_tests", "docs", "groups", "metrics", "semantic_models"),
    *("saved_queries", "functions", "disabled"),
)
#: What a node of dbt has, without any.
_NOBODY = DbtNode(
    unique_id="",
    kind="model",
    package="",
    name="",
    path="",
    relation=DbtRelation(None, "", "", None),
    config=EMPTY,
    columns=(),
    description="",
    meta=EMPTY,
    tags=(),
    language="sql",
    raw_code="",
    compiled_code=None,
    depends_on=(),
    depends_on_macros=(),
    test=None,
    version=None,
    latest_version=None,
    given=EMPTY,
)


def _refuse_blocks(tree: nodes.Template) -> None:
    """Raise TemplateError for a block of dbt's that is no part of a query."""
    for block in tree.find_all(nodes.Macro):
        word = "macro" if block.name.startswith(MACRO) else block.name.split("_")[1]
        fix = f"Write the query alone{_BLOCKS.get(word, '')}."
        raise TemplateError(f"a model has no `{word}` block", block.lineno, fix)


def _line_of_config(tree: nodes.Template) -> int:
    """The line of the first call of `config`."""
    for call in tree.find_all(nodes.Call):
        names = [it.name for it in call.find_all(nodes.Name)][:1]
        if names == ["config"]:
            return call.lineno
    return 1


# --- errors ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TemplateLines:
    """Where in the template of *path* an error comes from, by the frames that Jinja rewrites."""

    path: str

    def of(self, error: BaseException) -> int:
        if isinstance(error, TemplateSyntaxError):
            return error.lineno
        return next((line for path, line in _frames(error) if path == self.path), 1)

    def macro(self, error: BaseException) -> str:
        """In which macro it is, in words; "" for the template itself."""
        inner = [f"{path}:{line}" for path, line in _frames(error) if path != self.path]
        return f" (in {inner[-1]})" if inner else ""


def _frames(error: BaseException) -> Iterator[tuple[str, int]]:
    """The frames of templates, from the outer to the inner, of an error and what it stands for."""
    at: BaseException | None = error
    every = []
    while at is not None:
        every.append([*traceback.extract_tb(at.__traceback__)])
        at = at.__cause__ or at.__context__
    for frames in reversed(every):
        for frame in frames:
            if frame.filename.lower().endswith(".sql"):
                yield frame.filename, frame.lineno or 1


def _said(error: Exception) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if isinstance(error, Refused):
        return str(error), error.fix
    if isinstance(error, SqlSyntaxError):
        return error.what, error.fix
    if isinstance(error, NeedsWarehouse):
        fix = "Write what it finds into the template: a load asks no warehouse."
        return f"{error.asks} asks the warehouse", fix
    of = error.__context__
    undefined = isinstance(of, UndefinedError) or str(error).startswith("no macro ")
    return str(error), _MACROS if undefined else ""
