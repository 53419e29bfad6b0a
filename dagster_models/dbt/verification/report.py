"""What a verification found, as one value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dagster_models.dbt.verification.relations import RelationResult, RelationState
from dagster_models.dbt.verification.tests import ResultState, TestResult
from dagster_models.dbt.verification.texts import TextResult, TextState


@dataclass(frozen=True, slots=True)
class Verification:
    """``texts`` are those of models, by `--verify`; ``relations`` and ``tests`` are there by
    `--verify-tables`."""

    texts: tuple[TextResult, ...] = ()
    relations: tuple[RelationResult, ...] = ()
    tests: tuple[TestResult, ...] = ()

    @property
    def differs(self) -> bool:
        return (
            any(it.state is TextState.DIFFERS for it in self.texts)
            or any(it.state is RelationState.DIFFERS for it in self.relations)
            or any(it.state is ResultState.DIFFERS for it in self.tests)
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "differs": self.differs,
            "texts": [_text(it) for it in self.texts],
            "relations": [_relation(it) for it in self.relations],
            "tests": [_test(it) for it in self.tests],
        }


def _text(it: TextResult) -> dict[str, Any]:
    return {
        "unique_id": it.unique_id,
        "path": it.path,
        "state": it.state.value,
        "sides": list(it.sides),
        "what": it.what,
    }


def _relation(it: RelationResult) -> dict[str, Any]:
    return {
        "unique_id": it.unique_id,
        "name": it.name,
        "state": it.state.value,
        "rows": {"dbt": it.rows[0], "here": it.rows[1]},
        "only": {"dbt": it.only[0], "here": it.only[1]},
        "columns": list(it.columns),
        "notes": list(it.notes),
    }


def _test(it: TestResult) -> dict[str, Any]:
    return {
        "unique_id": it.unique_id,
        "name": it.name,
        "state": it.state.value,
        "dbt": it.theirs,
        "here": it.ours,
        "note": it.note,
    }
