"""Frozen values as plain JSON types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from dagster_models.core.windows import text_of


def plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, and of the dataclasses within it, as JSON types.

    It replaces ``dataclasses.asdict``, which cannot copy mapping proxies and leaves enums as they
    are.
    """
    result: dict[str, Any] = _plain(value)
    return result


#: Values that are JSON as they are; not those of their subclasses, such as an Enum of texts.
_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


def _plain(item: Any) -> Any:
    if type(item) in _AS_THEY_ARE:  # nearly all are: the checks below take ten times as long
        return item
    if isinstance(item, Enum):
        return item.value
    if isinstance(item, dt.datetime):
        return text_of(item)
    if isinstance(item, Mapping):
        return {str(key): _plain(value) for key, value in item.items()}
    if isinstance(item, (tuple, list)):
        return [_plain(value) for value in item]
    if hasattr(item, "__dataclass_fields__"):
        return {field.name: _plain(getattr(item, field.name)) for field in fields(item)}
    return item
