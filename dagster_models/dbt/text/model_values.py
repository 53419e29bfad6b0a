"""``model`` of dbt's Jinja: what the manifest has of the node whose text is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dagster_models.dbt.text.variables import own_copy


class ModelValues(dict[str, Any]):
    """The values of a node for one text, as dbt has it: what it changes in them changes no other
    text. Lists and mappings are copied when they are first read, which few texts do."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._given = given

    def forget(self) -> None:
        """Give the text, which is rendered once more, the values as they were."""
        self.clear()
        self.update(self._given)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, (dict, list)) and value is self._given.get(key):
            value = self[key] = own_copy(value)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        """As a dict has it. Python copies a dict that has an iterator of its own item by item, in
        `dict(model)` and `update(model)`, so that it asks ``__getitem__``."""
        return super().__iter__()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def pop(self, key: str, *default: Any) -> Any:
        self.get(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        self._copy_all()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else super().setdefault(key, default)

    def values(self) -> Any:
        self._copy_all()
        return super().values()

    def items(self) -> Any:
        self._copy_all()
        return super().items()

    def _copy_all(self) -> None:
        for key in [*self]:
            self.get(key)
