"""The SQL of tests and hooks, with our names."""

from __future__ import annotations

from collections.abc import Callable

from dagster_models.dbt.project.interfaces import NotRendered
from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.text.compiled import compiled_text
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.errors import SqlSyntaxError


class PartTexts:
    """``Rendering`` for those who write checks and headers."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def of_test(self, unique_id: str) -> str | NotRendered:
        node = self._renderer.manifest.nodes[unique_id]
        return self._named(lambda: self._test(node))

    def of_text(self, unique_id: str, text: str) -> str | NotRendered:
        node = self._renderer.manifest.nodes[unique_id]
        return self._named(lambda: self._renderer.render(text, node, False, Seen()))

    def _test(self, node: DbtNode) -> str:
        renderer = self._renderer
        try:
            return renderer.render_test(node, Seen())
        except NotImportable:
            try:
                return compiled_text(node, renderer.placeholders)
            except NotImportable:
                pass
            raise

    def _named(self, make: Callable[[], str]) -> str | NotRendered:
        try:
            return self._renderer.placeholders.named(make()).text
        except (NotImportable, SqlSyntaxError) as error:
            return NotRendered(str(error))
