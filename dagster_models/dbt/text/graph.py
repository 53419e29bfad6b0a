"""``graph`` of dbt: macros search it by attributes, and may do so in the hook of each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class GraphPart(dict[str, Any]):
    """The nodes, or another part, by unique_id. ``values()`` are indexed."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__(entries)
        self._indexed = IndexedEntries(entries.values())

    def values(self) -> Any:
        return self._indexed


class IndexedEntries(list[Any]):
    """Entries that are found by the value of an attribute without a look at each of them."""

    def __init__(self, *entries: Any) -> None:
        super().__init__(*entries)
        self._by_attribute: dict[str, dict[str, IndexedEntries]] = {}

    def where(self, attribute: str, value: Any) -> IndexedEntries | None:
        """Those whose attribute equals *value*, in order; None if *value* is no text."""
        if not isinstance(value, str):
            return None
        return self._groups(attribute).get(value, _NONE)

    def _groups(self, attribute: str) -> dict[str, IndexedEntries]:
        found = self._by_attribute.get(attribute)
        if found is None:
            found = self._by_attribute[attribute] = {}
            for entry in self:
                value = entry.get(attribute) if type(entry) is dict else None
                if isinstance(value, str):
                    found.setdefault(value, IndexedEntries()).append(entry)
        return found


_NONE = IndexedEntries()


class ChosenEntries(Iterator[Any]):
    """What a filter has chosen: like Jinja's generator it is read once, and may be filtered
    again."""

    def __init__(self, entries: IndexedEntries) -> None:
        self._entries: IndexedEntries | None = entries
        self._reading: Iterator[Any] = iter(())

    def taken(self) -> IndexedEntries | None:
        """All entries, if none of them was read. Then there are none left."""
        entries, self._entries = self._entries, None
        return entries

    def __next__(self) -> Any:
        if (entries := self.taken()) is not None:
            self._reading = iter(entries)
        return next(self._reading)


def entries_of(value: Any) -> IndexedEntries | None:
    """The entries that a filter is given; None for anything else."""
    if type(value) is ChosenEntries:
        return value.taken()
    return value if type(value) is IndexedEntries else None
