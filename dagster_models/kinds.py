"""A project's own kind of model: what its class is, and what it is given.

``materialized: kinds.latest.Latest`` in a model's header names the class ``Latest`` in the file
``kinds/latest.py`` of the project. Its ``build`` runs in a process of its own, in the transaction
in which the model is published with its commit record. docs/custom.md has an example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dagster_models.processes.client.warehouse import Warehouse

__all__ = ["Kind", "Model"]


@dataclass(frozen=True, slots=True)
class Model:
    """The model to build.

    ``name`` is its key, ``schema.name``. ``relation`` is the full name of its relation and
    ``query`` its query, both as SQL for the warehouse. ``settings`` are those of its header.
    ``there`` says what has the relation's name now, None for nothing. ``full_refresh``: the run, or
    the header, asks for a build of the whole relation.
    """

    name: str
    relation: str
    query: str
    settings: Mapping[str, Any]
    there: Literal["table", "view"] | None
    full_refresh: bool


class Kind(ABC):
    """How a relation is kept. The class is made without arguments, once for each build."""

    @abstractmethod
    def build(self, warehouse: Warehouse, model: Model) -> None:
        """Make ``model.relation`` what it is to be: a table or a view.

        All statements of ``warehouse`` are in one transaction, which is committed with the commit
        record after this method has returned and the model's checks have passed. Any exception
        rolls it back. Statements that begin or end a transaction are refused.
        """
