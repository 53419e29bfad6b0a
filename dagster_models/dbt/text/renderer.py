"""Jinja of a dbt project rendered without dbt: the macros are those of the manifest.

Relations come out as placeholders. What asks the warehouse raises NeedsWarehouse.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from jinja2 import TemplateError

from dagster_models.dbt.project.catalog import DbtCatalog
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import UnknownRef
from dagster_models.dbt.text.clock import with_noted_clock
from dagster_models.dbt.text.columns_of_texts import ColumnsOfTexts
from dagster_models.dbt.text.context import (
    Adapter,
    ConfigObject,
    Results,
    Seen,
    TargetObject,
    env_var,
    static_context,
)
from dagster_models.dbt.text.errors import AsksColumns, NeedsWarehouse, NotImportable
from dagster_models.dbt.text.graph import GraphPart
from dagster_models.dbt.text.interpreted import interpreted
from dagster_models.dbt.text.macros import Macros, Namespace, Return
from dagster_models.dbt.text.model_values import ModelValues
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.relations import (
    COLUMNS,
    ColumnObject,
    NamedColumn,
    RelationObject,
    relation_object,
)
from dagster_models.dbt.text.template import (
    compiled_expression,
    environment,
    expression,
    rendered,
    template,
)
from dagster_models.dbt.text.variables import VarFunction

T = TypeVar("T")
_BACKTICKS = frozenset({"bigquery", "spark", "databricks"})
_CALL = re.compile(r"\s*(env_var|ref|var|source|doc)\s*\(.+\)\s*")


@dataclass
class Renderer:
    """``given``: variables of the command line; ``target``: what `target.` is asked for;
    ``catalog``: what dbt knows of the columns of relations."""

    manifest: Manifest
    placeholders: Placeholders
    target: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    catalog: DbtCatalog | None = None

    def __post_init__(self) -> None:
        kind = self.manifest.adapter_type
        self._quote = "`" if kind in _BACKTICKS else '"'
        self.macros = Macros(self.manifest)
        self._column = COLUMNS.get(kind, ColumnObject)
        self.static = static_context(self._column, self._quote)
        self._relations: dict[str, RelationObject] = {}
        self._last: tuple[str, bool, Seen, dict[str, Any]] | None = None
        self._known = ColumnsOfTexts(
            self.manifest,
            self.placeholders,
            lambda it, later: self.render(it.raw_code, it, later, Seen()),
        )
        self._looked_up: set[str] = set()  #: nodes whose columns ``_known`` has been asked for
        self._contexts: dict[str, dict[str, Any]] = {}  #: by package
        self._dbt = Namespace(self.macros.internals)  #: `dbt` of the context that is rendered
        self._asked = False  #: whether a text has asked is_incremental() since readings() began
        self.overridden = frozenset(self.macros.packages.get(self.macros.root, ())) & {
            *("ref", "source", "var", "config", "this", "env_var", "is_incremental", "target")
        }
        self._graph = {
            key: GraphPart(self.manifest.given.get(key) or {})
            for key in ("nodes", "sources", "exposures", "metrics", "groups", "semantic_models")
        }

    def render(self, text: str, node: DbtNode, incremental: bool, seen: Seen) -> str:
        """Render a text in the context of *node*. Raises NotImportable."""
        context = self.context(node, incremental, seen)
        render = interpreted(text)
        if render is not None:
            return self.guarded(lambda: render(context))
        return self.guarded(lambda: rendered(template(text), context))

    def readings(self, text: str, node: DbtNode, seen: Seen) -> tuple[str, str]:
        """What the text is in a later build, and in a build in full. It is rendered once if nothing
        in it asks `is_incremental()`, as all else is the same. Raises NotImportable."""
        self._asked = False
        full = self.render(text, node, False, seen)
        if node.materialized != "incremental" or not self._asked:
            return full, full
        return self.render(text, node, True, seen), full

    def value(self, text: str, node: DbtNode, incremental: bool, seen: Seen) -> Any:
        """The value of an expression. Raises NotImportable."""
        context = self.context(node, incremental, seen)
        return self.guarded(lambda: compiled_expression(text)(context))

    def called(self, name: str, arguments: Sequence[Any], node: DbtNode, seen: Seen) -> Any:
        """The value of an expression that is a call with constants, which need not be compiled.
        Raises NotImportable."""
        relation = {"ref": self._ref, "source": self._source}.get(name)
        if relation is not None and name not in self.macros.visible(node.package):
            # most texts ask for nothing else, and need no context
            return self.guarded(lambda: relation(node)(*arguments))
        context = self.context(node, False, seen)
        return self.guarded(lambda: context[name](*arguments))

    def render_test(self, node: DbtNode, seen: Seen) -> str:
        """The query of a test. The arguments of a generic one are rendered before. Raises
        NotImportable."""
        context = self.context(node, False, seen)
        if node.test is not None:
            arguments = node.test.arguments
            context["_dbt_generic_test_kwargs"] = self.guarded(
                lambda: {key: self._argument(key, it, context) for key, it in arguments.items()}
            )
        return self.guarded(lambda: rendered(template(node.raw_code), context))

    def relation(self, unique_id: str) -> RelationObject:
        found = self._relations.get(unique_id)
        if found is None:
            found = self._relations[unique_id] = self._relation(unique_id)
        return found

    def context(self, node: DbtNode, incremental: bool, seen: Seen) -> dict[str, Any]:
        """What a text of *node* finds by name. A text asks for it once for each expression."""
        last = self._last
        if last is not None and last[:2] == (node.unique_id, incremental) and last[2] is seen:
            return last[3]
        made = self._context(node, incremental, seen)
        self._last = (node.unique_id, incremental, seen, made)
        return made

    def _context(self, node: DbtNode, incremental: bool, seen: Seen) -> dict[str, Any]:
        results, model = Results(), ModelValues(node.given)
        own: dict[str, Any] = {
            "modules": with_noted_clock(self.static["modules"], seen),
            "adapter": Adapter(
                self.macros,
                node.package,
                self.manifest.adapter_type,
                self._quote,
                self._columns_of(node, seen),
            ),
            "config": ConfigObject(node),
            "target": TargetObject(self.target, seen),
            "env_var": env_var(seen),
            "var": VarFunction(self.manifest, node, self.given, self._text, seen.variables),
            "ref": self._ref(node),
            "source": self._source(node),
            "this": self._this(node.unique_id),
            "model": model,
            "node": model,
            "graph": self._graph,
            "schema": node.relation.schema,
            "database": node.relation.database,
            "project_name": self.manifest.project_name,
            "dbt_version": self.manifest.dbt_version,
            "doc": self._doc,
            "store_result": results.store,
            "load_result": results.load,
            "pre_hooks": [],
            "post_hooks": [],
        }
        own["builtins"] = Namespace({k: own[k] for k in ("ref", "source", "config")})
        visible = self.macros.visible(node.package)
        shared = self._shared(node.package)
        context = shared.copy()
        context.update((name, it) for name, it in own.items() if name not in visible)
        context["context"] = context
        self._add_moments(context, seen)
        if "is_incremental" not in self.overridden:
            context["is_incremental"] = self._is_incremental(node, incremental)
            context["dbt"] = self._dbt
        self._begin(context, shared)
        return context

    def _begin(self, context: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        """Render from now on in this context, which has what is *shared* by its package."""
        if context.get("dbt") is self._dbt:  # which all contexts share
            self._dbt["is_incremental"] = context["is_incremental"]
        self.macros.begin(context, shared)

    def _shared(self, package: str) -> dict[str, Any]:
        """What all texts of a package find by name: a thousand macros, so it is made once."""
        if package not in self._contexts:
            visible = self.macros.visible(package)
            self._contexts[package] = {**environment().globals, **self.static, **visible}
        return self._contexts[package]

    def _is_incremental(self, node: DbtNode, incremental: bool) -> Callable[[], bool]:
        def asked() -> bool:
            self._asked = True
            return incremental and node.materialized == "incremental"

        return asked

    def _add_moments(self, context: dict[str, Any], seen: Seen) -> None:
        """Add the names that have another value in each run. What reads them is noted."""
        for name, value in self._moments.items():
            context.setdefault(name, _Noted(seen, name, value))

    @cached_property
    def _moments(self) -> Mapping[str, Any]:
        metadata = self.manifest.given.get("metadata") or {}
        started = metadata.get("run_started_at") or metadata.get("generated_at")
        moment = (
            dt.datetime.fromisoformat(started.replace("Z", "+00:00"))
            if started
            else dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
        )
        return {
            "run_started_at": moment,
            "invocation_id": str(metadata.get("invocation_id") or ""),
        }

    def _text(self, text: str) -> str:
        return template(text).render(self.macros.context)

    def _argument(self, key: str, value: Any, context: dict[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._argument(key, it, context) for it in value]
        if isinstance(value, Mapping):
            return {name: self._argument(key, it, context) for name, it in value.items()}
        if not isinstance(value, str) or key == "column_name":
            return value
        if _CALL.fullmatch(value):
            value = f"{{{{ {value} }}}}"
        inner = value.strip()
        if inner.startswith("{{") and inner.endswith("}}") and expression(inner[2:-2]) is not None:
            return environment().compile_expression(inner[2:-2])(**context)
        return rendered(template(value), context) if "{" in value else value

    def guarded(self, work: Callable[[], T]) -> T | str:
        """What *work* returns, or what `return()` gives outside of a macro. Raises NotImportable
        for whatever else it raises. It is called anew once columns that it asks for are known:
        another text has to be rendered for these."""
        while True:
            last, asked = self._last, self._asked
            context, shared = self.macros.context, self.macros.shared
            try:
                return self._guarded(work)
            except AsksColumns as columns:
                self._looked_up.add(columns.of)
                self._known.of(self.manifest.nodes[columns.of])
                self._last, self._asked = last, asked
                for own in (context["builtins"]["config"], context["var"], context["model"]):
                    # and no macro of the project
                    if isinstance(own, (ConfigObject, VarFunction, ModelValues)):
                        own.forget()
                self._begin(context, shared)

    def _guarded(self, work: Callable[[], T]) -> T | str:
        try:
            return work()
        except Return as returned:
            return "" if returned.value is None else str(returned.value)
        except NotImportable:
            raise
        except UnknownRef as error:
            raise NotImportable(str(error)) from None
        except TemplateError as error:
            raise NotImportable(f"Jinja: {error}") from None
        except RecursionError:
            what = "it is nested too deeply, or its macros call each other without an end"
            raise NotImportable(what) from None
        except Exception as error:  # the code is anybody's
            raise NotImportable(f"{type(error).__name__} in Jinja: {error}") from None

    def _relation(self, unique_id: str) -> RelationObject:
        of = self.placeholders.relation_of(unique_id)
        word = self.placeholders.word(unique_id)
        if of.written is None:
            return RelationObject(
                None, None, f"__dbt__cte__{of.identifier}", word, (False,) * 3, type="cte"
            )
        parts = of.database, of.schema, of.identifier
        found = relation_object(of.written, *parts, word, self._quote)
        return replace(found, fixed=of.written) if of.is_file else found

    def _columns_of(self, node: DbtNode, seen: Seen) -> Callable[[Any], list[NamedColumn]]:
        """``adapter.get_columns_in_relation`` by the catalog, or else by the project's own texts.
        Of the model's own relation both have what a build before has left, which may be another in
        the next one."""
        own = (node.relation.database, node.relation.schema, node.relation.identifier)

        def columns_of(relation: Any) -> list[NamedColumn]:
            names, said = None, ""
            if isinstance(relation, RelationObject):
                place = (relation.database, relation.schema, relation.identifier)
                names, said = self._named_columns(place) if place != own else (None, "")
            if names is None:
                raise NeedsWarehouse("adapter.get_columns_in_relation()")
            seen.note(f"columns of {place[1]}.{place[2]}", f"{', '.join(names)} ({said})")
            return [NamedColumn(self._column(name)) for name in names]

        return columns_of

    def _named_columns(
        self, place: tuple[str | None, str | None, str | None]
    ) -> tuple[tuple[str, ...] | None, str]:
        """The columns of the relation at a *place*, and who says so."""
        if self.catalog is not None and (names := self.catalog.columns_of(*place)):
            return names, f"target/catalog.json of {self.catalog.made}"
        node = self._known.node_at(*place)
        if node is None:
            return None, ""
        if node.unique_id not in self._looked_up:
            raise AsksColumns(node.unique_id)
        return self._known.of(node), self._known.says(node)

    def _this(self, unique_id: str) -> RelationObject:
        """An ephemeral model knows where a relation of its own would be."""
        of, found = self.placeholders.relation_of(unique_id), self.relation(unique_id)
        if of.written is not None:
            return found
        return replace(found, database=of.database, schema=of.schema)

    def _ref(self, node: DbtNode) -> Any:
        def ref(*names: str, v: Any = None, version: Any = None) -> RelationObject:
            package, name = names if len(names) == 2 else (None, *names)
            asked = v if v is not None else version
            found = self.placeholders.names.ref(
                node, str(name), package, None if asked is None else str(asked)
            )
            return self.relation(found.unique_id)

        return ref

    def _source(self, node: DbtNode) -> Any:
        def source(source_name: str, name: str) -> RelationObject:
            return self.relation(self.placeholders.names.source(node, source_name, name).unique_id)

        return source

    def _doc(self, *names: str) -> str:
        package = names[0] if len(names) == 2 else self.manifest.project_name
        found = self.manifest.docs.get(f"doc.{package}.{names[-1]}")
        return found.text("block_contents", "") if found else ""


class _Noted:
    """A value whose use is noted: Jinja asks it for its text or for an attribute."""

    def __init__(self, seen: Seen, name: str, value: Any) -> None:
        self._seen, self._name, self._value = seen, name, value

    def __str__(self) -> str:
        return str(self._seen.note(self._name, self._value))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._seen.note(self._name, self._value)
        return getattr(self._value, name)

    def __add__(self, other: Any) -> Any:
        return self._seen.note(self._name, self._value) + other

    def __sub__(self, other: Any) -> Any:
        return self._seen.note(self._name, self._value) - other
