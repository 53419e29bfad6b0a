"""Replace a file as a whole: readers see the old one or the new one, never half of either."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write *text* to *path*, whole even if the machine dies meanwhile; create its folder.

    Raises:
        OSError: the file cannot be written. An older one is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: only the owner may read its files, and other users read what we write.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
