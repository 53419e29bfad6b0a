"""Why a text of dbt cannot be made plain SQL."""

from __future__ import annotations


class NotImportable(Exception):
    """A text asks for something that an import does not have, or is wrong."""


class AsksColumns(NotImportable):
    """A text asks for the columns of a node of the project, which are to be looked up first."""

    def __init__(self, unique_id: str) -> None:
        self.of = unique_id
        super().__init__(f"the columns of {unique_id} are not looked up")


class NeedsWarehouse(NotImportable):
    """A text asks the warehouse while dbt compiles it, so only dbt has the answer."""

    def __init__(self, what: str) -> None:
        self.asks = what
        super().__init__(f"{what} asks the warehouse while dbt compiles")
