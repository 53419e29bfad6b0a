"""What a materialization asks of a session: where warehouses differ."""

from __future__ import annotations

from typing import Protocol

from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content


class Hooks(Protocol):
    """See ``warehouses.transactional.TransactionalSession``."""

    def replace_table(self, relation: Relation, content: Content) -> int: ...

    def replace_view(self, relation: Relation, sql: str) -> None: ...
