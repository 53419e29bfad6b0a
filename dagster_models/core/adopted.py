"""What became of a relation that somebody else has built, and that a project takes over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

#: "adopted": it has a commit record now. "recorded": it had one already. "left": its columns are
#: not those that a run needs. "missing": it is not there. "replaced": a run builds it anew anyway.
Adoption: TypeAlias = Literal["adopted", "recorded", "left", "missing", "replaced"]

ADOPTIONS: tuple[Adoption, ...] = get_args(Adoption)


@dataclass(frozen=True, slots=True)
class Adopted:
    state: Adoption
    why: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Adopted:
        """The inverse of ``core.plain.plain``."""
        return cls(**data)
