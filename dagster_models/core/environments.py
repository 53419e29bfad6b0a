"""The environment of a script that names packages of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """The packages that a script asks for, installed apart from those of the project.

    ``dependencies`` are requirements as PEP 508 spells them, sorted. ``line`` is where the script
    names them. ``folder`` is where environments are kept, one folder below for each.
    """

    dependencies: tuple[str, ...]
    line: int = 1
    folder: str = ""

    def digest(self, *others: str) -> str:
        """12 hex digits of what is in it: the dependencies, and ``others``."""
        text = "\0".join((*self.dependencies, "", *others))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
