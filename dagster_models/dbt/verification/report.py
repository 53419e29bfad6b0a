"""What a verification found, as one value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dagster_models.dbt.verification.texts import TextResult


@dataclass(frozen=True, slots=True)
class Verification:
    """``texts`` are those of models, by `--verify`."""

    texts: tuple[TextResult, ...] = ()

    @property
    def differs(self) -> bool:
        return any(it.state.is_difference for it in self.texts)

    def as_json(self) -> dict[str, Any]:
        return {
            "differs": self.differs,
            "texts": [
                {
                    "unique_id": it.unique_id,
                    "path": it.path,
                    "state": it.state.value,
                    "sides": list(it.sides),
                    "what": it.what,
                }
                for it in self.texts
            ],
        }
