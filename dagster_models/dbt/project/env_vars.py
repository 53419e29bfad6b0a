"""``{{ env_var('X') }}`` in profiles.yml, as our settings have it."""

from __future__ import annotations

import re
from typing import Any

#: With its name, and its default if that is all that the expression computes: a text or a number
#: which `${NAME:-default}` can hold. Of `env_var('X', 'a') ~ 'b'` it would be a part.
ENV_VAR = re.compile(
    r"\{\{\s*env_var\(\s*['\"](\w+)['\"]\s*(?:"
    r",\s*(?:default\s*=\s*)?(?:'([^'{}$\\]*)'|\"([^\"{}$\\]*)\"|([0-9.]+))\s*\)\s*"
    r"(?:\|\s*(?:int|float|string|trim|as_bool|as_native|as_number|as_text)\s*)*\}\}"
    r"|(?:,[^)]*)?\)[^}]*\}\})"
)


def from_environment(value: Any) -> Any:
    """dbt's `{{ env_var('X', 'default') }}` as `${X:-default}`."""
    return ENV_VAR.sub(_variable, value) if isinstance(value, str) else value


def _variable(found: re.Match[str]) -> str:
    default = found[2] or found[3] or found[4]
    return f"${{{found[1]}:-{default}}}" if default else f"${{{found[1]}}}"
