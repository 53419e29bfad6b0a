"""Dagster's name for a step of the project: its step key, and the name of its op."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from dagster_models.core.model import Key


def checked_prefix(prefix: str | Sequence[str]) -> tuple[str, ...]:
    """A key prefix as its parts: one text, or several.

    Raises:
        ValueError: a part is not usable in the name of an op.
    """
    parts = (prefix,) if isinstance(prefix, str) else tuple(prefix)
    for part in parts:
        if not isinstance(part, str) or not re.fullmatch(r"\w+", part, re.ASCII):
            what = f"key_prefix has {part!r}: a part may have letters, digits and _ only"
            raise ValueError(what)
    return parts


def prefixed(prefix: Sequence[str], name: str) -> str:
    """The name of a job or schedule, or of an op, of a project with a key prefix."""
    return "__".join((*prefix, name))


def node_name(key: Key, prefix: Sequence[str] = ()) -> str:
    """``schema__name``, with a digest where that could be the name of another step as well.

    It could be if characters had to be replaced, or if the schema contains ``__`` or ends in ``_``.
    """
    return prefixed(prefix, _node_name(key))


def _node_name(key: Key) -> str:
    plain = f"{key.schema}__{key.name}"
    safe = re.sub(r"\W", "_", plain, flags=re.ASCII)
    if safe == plain and "__" not in key.schema and not key.schema.endswith("_"):
        return safe
    return f"{safe}_{hashlib.sha256(plain.encode()).hexdigest()[:6]}"
