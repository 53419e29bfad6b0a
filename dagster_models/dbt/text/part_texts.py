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
    """``Rendering`` for those who write checks and headers. Each text is rendered once: a header is
    asked for several times, and a hook may call macros that take longer than its model."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._made: dict[tuple[str, str | None], str | NotRendered] = {}

    def of_test(self, unique_id: str) -> str | NotRendered:
        node = self._renderer.manifest.nodes[unique_id]
        return self._once((unique_id, None), lambda: self._test(node))

    def of_text(self, unique_id: str, text: str) -> str | NotRendered:
        node = self._renderer.manifest.nodes[unique_id]
        return self._once(
            (unique_id, text), lambda: self._renderer.render(text, node, False, Seen())
        )

    def _once(self, what: tuple[str, str | None], make: Callable[[], str]) -> str | NotRendered:
        if what not in self._made:
            self._made[what] = self._named(make)
        return self._made[what]

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
