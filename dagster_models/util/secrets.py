"""Texts that nobody is shown."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, quote_plus


def without(text: str, secrets: Iterable[str]) -> str:
    """*text* with ``***`` in place of each secret, also as it stands in a literal of SQL, in one of
    Python, which errors show, or in a URL or a form."""
    written = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(written - {""}, key=lambda it: (-len(it), it)):
        text = text.replace(form, "***")
    return text


def _forms(secret: str) -> Iterable[str]:
    yield from (secret, secret.strip(), secret.replace("'", "''"))
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], repr(secret.encode(*_ANY))[2:-1])
    yield from (quote(secret, "", *_ANY), quote_plus(secret, "", *_ANY))


_ANY = "utf-8", "surrogatepass"
