"""What a materialization asks of a session: where warehouses differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content

RelationKind: TypeAlias = Literal["table", "view"]


class Hooks(Protocol):
    """See ``warehouses.transactional.TransactionalSession``."""

    @property
    def staging(self) -> Relation: ...

    def replace_table(self, relation: Relation, content: Content) -> int: ...

    def replace_view(self, relation: Relation, sql: str) -> None: ...

    def take_turn(self, relation: Relation) -> RelationKind | None: ...

    def stage(self, content: Content) -> int: ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def change(self, sql: str, lines_before: int = 0) -> int: ...

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]: ...

    def row_count(self, relation: Relation) -> int | None: ...

    def refuse_effects(
        self, relation: Relation, *, deletes: bool, updates: Sequence[str]
    ) -> None: ...

    def differs(self, columns: Sequence[str]) -> str: ...

    def address(self, relation: Relation) -> str: ...

    def folded(self, name: str) -> str: ...
