"""YAML as an import writes it: keys in their order, and nothing that begins or ends a comment of
SQL. It stands in one, and many dialects nest them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

#: The one in C is four times as fast.
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]
    """A text with signs of a comment is in double quotes, in which YAML knows `\\/` and `\\x2a`."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value and value == value.strip() else None
    style = '"' if "*/" in value or "/*" in value else style
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(values: Mapping[str, Any] | list[Any]) -> str:
    """The values as a block of YAML."""
    text: str = yaml.dump(
        _plain(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.replace("/*", "/\\x2a").replace("*/", "*\\/")


def with_header(word: str, values: Mapping[str, Any], sql: str) -> str:
    """A file of SQL with its header."""
    if not values:
        return sql
    return f"/* {word}\n{yaml_text(values)}*/\n{sql}"


def with_docstring(values: Mapping[str, Any], code: str) -> str:
    """A file of Python with its header."""
    text = yaml_text(values).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n@model\n{text}"""\n\n{code}'


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(it) for key, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(it) for it in value]
    return value
