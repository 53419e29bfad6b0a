"""What may be a name here, and the nearest such name to any text."""

from __future__ import annotations

import re
import unicodedata

NAME = re.compile(r"[A-Za-z0-9_]+\Z")  #: what Dagster allows as the name of a job, op or check


def plain_name(text: str) -> str:
    """The text as a name: `Ümläut` is `Umlaut`, and what has no such letter is `_`."""
    letters = unicodedata.normalize("NFKD", text)
    marked = "".join(it for it in letters if not unicodedata.combining(it))
    return re.sub(r"[^A-Za-z0-9_]", "_", marked) or "_"
