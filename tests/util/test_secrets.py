"""No form in which a message may hold a secret is shown."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from dagster_models.util.secrets import without


@pytest.mark.parametrize("secret", ["plain1", "it's", "a\nb\n", "p\\w", "é%/ +&", "\u2019q"])
def test_a_secret_is_not_shown_in_any_form(secret: str) -> None:
    quoted = secret.replace("'", "''")
    for form in (secret, secret.strip(), quoted, repr(secret)[1:-1], ascii(secret)[1:-1]):
        assert without(f"<{form}>", [secret]) == "<***>"
    for text in (f"{secret.encode()!r}", urlencode({"k": secret}), quote(secret, safe="")):
        shown = without(text, ["", secret])
        assert shown.replace("***", "") in ("b''", 'b""', "k=", "")
