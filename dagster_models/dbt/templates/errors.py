"""Why a template cannot be rendered."""

from __future__ import annotations

from dagster_models.dbt.text.errors import NotImportable


class Refused(NotImportable):
    """A template asks for what a load does not have. ``fix``: what to do instead."""

    def __init__(self, what: str, fix: str) -> None:
        self.fix = fix
        super().__init__(what)
