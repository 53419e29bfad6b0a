"""Texts that nobody is shown."""

from __future__ import annotations

from collections.abc import Iterable


def without(text: str, secrets: Iterable[str]) -> str:
    """*text* with ``***`` in place of each secret, also as it stands in a literal of SQL."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret.replace("'", "''"), "***").replace(secret, "***")
    return text
