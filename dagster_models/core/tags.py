"""Tags as Dagster has them."""

from __future__ import annotations

from collections.abc import Iterable


def values_by_tag(tags: Iterable[str]) -> dict[str, str]:
    """The value of each tag of a configuration, which writes it as `name` or `name=value`."""
    return {name: value for name, _, value in (tag.partition("=") for tag in tags)}
