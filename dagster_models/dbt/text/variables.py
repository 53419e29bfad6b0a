"""``var()``: the values of dbt_project.yml, which the manifest does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.text.errors import NotImportable

_MISSING: Any = object()


def own_copy(value: Any) -> Any:
    """The value for one text, as dbt has it: `{% do var('kinds').append(...) %}` must change no
    other text."""
    if isinstance(value, Mapping):
        return {key: own_copy(it) for key, it in value.items()}
    return [*map(own_copy, value)] if isinstance(value, (list, tuple)) else value


class VarFunction:
    """``var`` of one node. The command line goes before the project, and the project before the
    package that the node is of; within each, what is below the package's name goes first. *seen*
    gets the values that were asked for."""

    def __init__(
        self,
        manifest: Manifest,
        node: DbtNode,
        given: Mapping[str, Any],
        render: Callable[[str], str],
        seen: dict[str, Any],
    ) -> None:
        self._seen, self._given = seen, dict[str, Any]()
        self._scopes = [given, *_scopes(manifest, node.package)]
        self._render = render

    def __call__(self, name: str, default: Any = _MISSING) -> Any:
        for scope in self._scopes:
            if name in scope:
                value = scope[name]
                if isinstance(value, str) and "{{" in value:
                    value = self._render(value)
                self._seen[name] = value
                return self._given.setdefault(name, own_copy(value))
        if default is _MISSING:
            raise NotImportable(f"var({name!r}) has no value: give it with --vars")
        return default

    def forget(self) -> None:
        """Give the text, which is rendered once more, the values as they were."""
        self._given.clear()

    def has_var(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)


def _scopes(manifest: Manifest, package: str) -> Iterator[Mapping[str, Any]]:
    for name in dict.fromkeys((manifest.project_name, package)):
        project = manifest.projects.get(name)
        if project is not None:
            own = project.variables.get(package)
            if isinstance(own, Mapping):
                yield own
            yield project.variables
