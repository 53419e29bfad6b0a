"""Structs, maps and lists of lists of Arrow as texts of JSON, for columns of jsonb.

What stands for a value is decided by its type and not by its looks: an empty map is an object, an
empty list is a list. Each value is written as PostgreSQL's own ``to_jsonb`` writes it: numbers with
all their digits, what JSON has no word for as a text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as pa

Write: TypeAlias = Callable[[Any], str]


def writer(type_: Any, text: Write) -> Write:
    """The function that writes a value of the type, which may be None, as JSON.

    ``text`` writes what is no number and no string as PostgreSQL's text. The function raises
    ValueError for a value that JSON cannot hold. So does this one for a type.
    """
    write = _writer(type_, text)
    return lambda value: "null" if value is None else write(value)


def _writer(type_: Any, text: Write) -> Write:
    types = pa.types
    if types.is_struct(type_):
        fields = [type_.field(at) for at in range(type_.num_fields)]
        return _struct({field.name: writer(field.type, text) for field in fields})
    if types.is_map(type_):
        if types.is_nested(type_.key_type):
            raise ValueError(f"has keys of type {type_.key_type}, which JSON cannot hold")
        return _map(writer(type_.key_type, text), writer(type_.item_type, text))
    if types.is_nested(type_):
        item = writer(type_.value_type, text)
        return lambda values: "[" + ", ".join(map(item, values)) + "]"
    if getattr(type_, "extension_name", "") == "arrow.json":
        return str
    if types.is_boolean(type_):
        return lambda value: "true" if value else "false"
    if types.is_integer(type_) or types.is_decimal(type_):
        return str
    if types.is_floating(type_):
        return _float
    if types.is_string(type_) or types.is_large_string(type_):
        return _string
    return lambda value: _string(text(value))


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _struct(fields: dict[str, Write]) -> Write:
    named = [(name, _string(name), write) for name, write in fields.items()]
    return lambda value: (
        "{" + ", ".join(f"{key}: {write(value[name])}" for name, key, write in named) + "}"
    )


def _map(key: Write, item: Write) -> Write:
    def write(pairs: list[tuple[Any, Any]]) -> str:
        found: dict[str, str] = {}
        for name, value in pairs:
            word = key(name)
            word = word if word.startswith('"') else _string(word)
            if word in found:
                raise ValueError(f"two entries have the key {word}")
            found[word] = item(value)
        return "{" + ", ".join(f"{word}: {value}" for word, value in found.items()) + "}"

    return write
