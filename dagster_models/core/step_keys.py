"""Dagster's name for a step of the project: its step key, and the name of its op."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence


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
    """The name of a job or schedule of a project with a key prefix."""
    return "__".join((*prefix, name))


def node_name(path: Sequence[str]) -> str:
    """The name of the op that builds the asset of this key: ``schema__name``.

    It has a digest where that could be the name of another op as well: if characters had to be
    replaced, or if a part before the last one contains ``__`` or ends in ``_``.
    """
    plain = "__".join(path)
    safe = re.sub(r"\W", "_", plain, flags=re.ASCII)
    if safe == plain and not any("__" in part or part.endswith("_") for part in path[:-1]):
        return safe
    return f"{safe}_{hashlib.sha256(plain.encode()).hexdigest()[:6]}"
