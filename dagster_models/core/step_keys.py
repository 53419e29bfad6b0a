"""What Dagster calls a step of the project: its step key, and the name of its op."""

from __future__ import annotations

import hashlib
import re

from dagster_models.core.model import Key


def node_name(key: Key) -> str:
    """``schema__name``, made unique where characters had to be replaced, or where the schema's end
    could not be told from the name's beginning."""
    plain = f"{key.schema}__{key.name}"
    safe = re.sub(r"\W", "_", plain, flags=re.ASCII)
    if safe == plain and "__" not in key.schema and not key.schema.endswith("_"):
        return safe
    return f"{safe}_{hashlib.sha256(plain.encode()).hexdigest()[:6]}"
