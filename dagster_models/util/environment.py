"""``${NAME}`` in settings: what stands for the value of an environment variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled(text: str, environ: Mapping[str, str]) -> str:
    """*text* with each variable's value; one that is not set stays as it is written."""
    return VARIABLE.sub(lambda match: environ.get(match[1], match[0]), text)


def names_in(value: Any) -> list[str]:
    """The variables of a setting, in order."""
    return VARIABLE.findall(value) if isinstance(value, str) else []
