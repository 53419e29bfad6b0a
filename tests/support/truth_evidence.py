"""What every place reports of a run, read from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from dagster_models.reporting.journal import JournalContents, read_journal
from truth_runs import Played
from truth_warehouses import Found, Truth


@dataclass(frozen=True)
class Evidence:
    played: Played
    found: Found
    journal: JournalContents | None
    results: dict[str, Any] | None
    status: str
    events: list[tuple[str, str]]  # (step, event type)

    def of_type(self, event_type: str) -> set[str]:
        return {step for step, type_ in self.events if type_ == event_type}


def read(root: Path, home: Path, truth: Truth, played: Played) -> Evidence:
    with DagsterInstance.from_config(str(home)) as instance:
        found = instance.get_runs(limit=1)
        run_id, status = (found[0].run_id, found[0].status.value) if found else ("", "")
        events = [
            ((entry.step_key or "").replace("__", ".", 1), entry.dagster_event_type.value)
            for entry in (instance.all_logs(run_id) if run_id else ())
            if entry.dagster_event_type is not None
        ]
    journal = root / "target" / "runs" / f"{run_id}.jsonl"
    results = root / "target" / "run_results.json"
    return Evidence(
        played,
        truth.read(run_id),
        read_journal(journal) if journal.exists() else None,
        json.loads(results.read_text()) if results.exists() else None,
        status,
        events,
    )
