"""Dagster's name for a step of the project: its step key, and the name of its op."""

from __future__ import annotations

import hashlib
import re

from dagster_models.core.model import Key


def node_name(key: Key) -> str:
    """``schema__name``, with a digest where that could be the name of another step as well.

    It could be if characters had to be replaced, or if the schema contains ``__`` or ends in ``_``.
    """
    plain = f"{key.schema}__{key.name}"
    safe = re.sub(r"\W", "_", plain, flags=re.ASCII)
    if safe == plain and "__" not in key.schema and not key.schema.endswith("_"):
        return safe
    return f"{safe}_{hashlib.sha256(plain.encode()).hexdigest()[:6]}"
