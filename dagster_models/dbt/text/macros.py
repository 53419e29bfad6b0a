"""The macros of a manifest, looked up as dbt looks them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import Template
from jinja2.environment import TemplateModule
from jinja2.runtime import Context, Macro

from dagster_models.dbt.project.manifest import DbtMacro, Manifest
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.repeated import Recording, RepeatedCall
from dagster_models.dbt.text.template import MACRO, compiled, has_macros_alone, parsed

#: An adapter -> those whose macros it takes where it has none of its own.
_PARENTS = {
    "redshift": ("postgres",),
    "databricks": ("spark",),
    "fabricspark": ("spark",),
    "materialize": ("postgres",),
}


class Return(Exception):
    """``return(value)`` in a macro. Jinja has no such statement."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Macros:
    """``context`` is that of the node which is rendered. All macros share it."""

    def __init__(self, manifest: Manifest) -> None:
        self.root = manifest.project_name
        parents = _PARENTS.get(manifest.adapter_type, ())
        self.prefixes = (manifest.adapter_type, *parents, "default")
        self.internal = (
            *(f"dbt_{name}" for name in (manifest.adapter_type, *parents)),
            "dbt",
        )
        own = manifest.projects.get(self.root)
        self._orders = dict(own.dispatch) if own else {}
        self.packages: dict[str, dict[str, Callable[..., Any]]] = {}
        self._modules: dict[str, Any] = {}
        self._templates: dict[str, Template] = {}
        self._kept: dict[str, tuple[TemplateModule, Context]] = {}  #: see _module()
        self.context: Mapping[str, Any] = {}
        self.shared: Mapping[str, Any] = {}  #: what is the same for all texts of its package
        self._recording: Recording | None = None
        self.called: set[str] = set()  #: the unique_ids of those that were called
        self._turn = 0  #: the number of the context
        for macro in manifest.macros.values():
            of = self.packages.setdefault(macro.package, {})
            of[macro.name] = self._callable(macro)
        self.spaces = {name: Namespace(of) for name, of in self.packages.items()}
        internals: dict[str, Callable[..., Any]] = {}
        for name in reversed(self.internal):
            internals.update(self.packages.get(name, {}))
        self.internals = internals
        self.spaces["dbt"] = Namespace(internals)
        self._visible: dict[str, dict[str, Any]] = {}
        self._dispatched: dict[tuple[str, str, str | None], Callable[..., Any]] = {}

    def begin(self, context: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        """Render from now on with this context."""
        self.shared, self._modules = shared, {}
        self._find_names_in(context)

    def _find_names_in(self, context: Mapping[str, Any]) -> None:
        self.context, self._turn = context, self._turn + 1

    def visible(self, package: str) -> dict[str, Any]:
        """What a node of *package* sees: the macros, and the packages by their names."""
        if package not in self._visible:
            own = {k: v for k, v in self.spaces.items() if k not in self.internal or k == "dbt"}
            found: dict[str, Any] = dict(self.internals)
            found.update(own)
            found.update(self.packages.get(self.root, {}))
            if package not in self.internal:
                found.update(self.packages.get(package, {}))
            self._visible[package] = found
        return self._visible[package]

    def dispatch(self, package: str, name: str, namespace: str | None) -> Callable[..., Any]:
        """``adapter.dispatch``: the adapter's own macro, that of its parent, or the default. The
        macros are those of the manifest, so it is the same each time."""
        asked = package, str(name), namespace
        if asked not in self._dispatched:
            self._dispatched[asked] = self._find(package, name, namespace)
        return self._dispatched[asked]

    def _find(self, package: str, name: str, namespace: str | None) -> Callable[..., Any]:
        order: tuple[str | None, ...] = (None,)
        if namespace in self._orders:
            order = self._orders[namespace]
        elif namespace is not None and namespace in self.packages:
            order = (self.root, namespace)
        for where in order:
            of: Mapping[str, Any] = (
                self.visible(package) if where is None else self._of_package(where)
            )
            for prefix in self.prefixes:
                found = of.get(f"{prefix}__{name}")
                if found is not None:
                    return cast(Callable[..., Any], found)
        raise NotImportable(f"no macro {name!r} for {self.prefixes[0]} in {namespace or 'dbt'}")

    def _of_package(self, name: str) -> Mapping[str, Any]:
        return self.internals if name == "dbt" else self.packages.get(name, {})

    def _callable(self, macro: DbtMacro) -> Callable[..., Any]:
        unique_id, name = macro.unique_id, MACRO + macro.name

        turn, made, direct, count = -1, cast(Any, None), cast(Any, None), -1
        repeats, before = True, cast(RepeatedCall | None, None)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal turn, made, direct, count, repeats, before
            if repeats and not arguments and not named and self._recording is None:
                if before is not None and before.holds(self.context):
                    self.called |= before.called
                    return before.result()
                repeats = False  # unless this call can be
                value, before = self._recorded(call)
                repeats = before is not None
                return value
            self.called.add(unique_id)
            if turn != self._turn:
                module = self._module(macro)
                turn, made = self._turn, getattr(module, name)
                direct, count = _function_of(made)
            try:
                if len(arguments) == count and not named:
                    return direct(*arguments)
                return made(*arguments, **named)
            except Return as returned:
                return returned.value

        return call

    def _recorded(self, call: Callable[[], Any]) -> tuple[Any, RepeatedCall | None]:
        """What the call of a macro returns, and what is known of it for the next one."""
        context, before = self.context, self.called
        recording = self._recording = Recording(context, self.shared)
        self.called = set()
        self._find_names_in(recording)
        try:
            value = call()
            return value, recording.of(value, frozenset(self.called))
        finally:
            before |= self.called
            self._recording, self.called = None, before
            self._find_names_in(context)

    def _module(self, macro: DbtMacro) -> Any:
        """The module of a macro's text, which may be a file of several. One that has macros alone
        is the same in each context, and is given the new one: they look for names when they are
        called. Another one is made for each text, and may have a state."""
        if macro.text not in self._templates:
            self._compile(macro)
        if macro.text in self._kept:
            module, context = self._kept[macro.text]
            context.parent = cast(dict[str, Any], self.context)
            return module
        if self._recording is not None:
            self._recording.is_whole = False
        if macro.text not in self._modules:
            template = self._templates[macro.text]
            self._modules[macro.text] = template.make_module(cast(Any, self.context), shared=True)
        return self._modules[macro.text]

    def _compile(self, macro: DbtMacro) -> None:
        tree = parsed(macro.text, macro.path)
        template = self._templates[macro.text] = compiled(tree, macro.path)
        if has_macros_alone(tree):
            context = template.new_context(cast(dict[str, Any], self.context), shared=True)
            self._kept[macro.text] = TemplateModule(template, context), context


def _function_of(macro: Any) -> tuple[Any, int]:
    """The function of a macro of Jinja and the number of its arguments, with which it may be called
    as it is; -1 if it also takes others, or if it is not where Jinja 3.1 has it. Texts call macros
    by the million, and ``jinja2.runtime.Macro`` puts the arguments in order at each call."""
    function = getattr(macro, "_func", None)
    if function is None or not isinstance(macro, Macro):
        return None, -1
    if macro.catch_kwargs or macro.catch_varargs or macro.caller:
        return None, -1
    return function, len(macro.arguments)


class Namespace(dict[str, Any]):
    """A package: its macros by their names. Jinja finds an item where an object has no attribute,
    and its sandbox would refuse attributes that begin with an underscore."""
