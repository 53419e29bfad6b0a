"""Runs of a project without Dagster, one step after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from dagster_models.compilation.tasks import TargetStep, schemas, task_for
from dagster_models.core.model import Project
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import WarehouseError
from dagster_models.execution.known_inputs import KnownInputs
from dagster_models.execution.unchanged import Decision, decide
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target
from project_cases import load
from systems import System

_runs = count(1)


def target_of(system: System, **settings: str) -> str:
    """The entry of a target in the project file; the DSN is in the variable DATABASE_URL."""
    own = (
        {"path": system.settings["path"]} if system.name == "duckdb" else {"dsn": "${DATABASE_URL}"}
    )
    every = {"type": system.name, **own, **settings}
    return "{" + ", ".join(f'{key}: "{value}"' for key, value in every.items()) + "}"


@dataclass
class Runs:
    """The runs of the project in *root* on one of its targets. ``because``: why the steps of the
    last run were built."""

    root: Path
    target: str | None = None
    because: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Project:
        return load(self.root)

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text, encoding="utf-8")

    def write_on(
        self,
        system: System,
        monkeypatch: pytest.MonkeyPatch,
        files: Mapping[str, str],
        settings: str = "",
        targets: Mapping[str, str] = MappingProxyType({"dev": ""}),
    ) -> None:
        """Write a project whose targets are in this warehouse; *targets*: name -> the prefix of its
        schemas."""
        monkeypatch.setenv("DATABASE_URL", str(system.settings.get("dsn", "")))
        text = f"name: p\ndialect: {system.name}\n{settings}targets:\n"
        for name, prefix in targets.items():
            prefixed = {"schema_prefix": prefix} if prefix else {}
            text += f"  {name}: {target_of(system, **prefixed)}\n"
        self.write({"dagster_models.yaml": text, **files})

    def steps(self, project: Project) -> dict[str, TargetStep]:
        target = usable_target(project, self.target)
        return {str(key): TargetStep(project, step, target) for key, step in project.steps.items()}

    def connect(self) -> Session:
        first = next(iter(self.steps(self.load()).values()))
        return connect(first.address)

    def run(self, *names: str, only_changed: bool = False) -> dict[str, str]:
        """Run these steps, or all; the state of each."""
        every = self.steps(self.load())
        chosen = {key: it for key, it in every.items() if not names or key in names}
        graph = {
            key: [str(read) for read in it.step.upstream if str(read) in chosen]
            for key, it in chosen.items()
        }
        known, decision, run_id = KnownInputs(), Decision(), f"run{next(_runs)}"
        with connect(next(iter(every.values())).address) as session:
            session.prepare(schemas(chosen))
            known.ask(chosen)
            if only_changed:
                decision = decide(graph, chosen, known, (), run_id)
            states: dict[str, str] = {}
            for key, it in chosen.items():
                if key in decision.unchanged:
                    states[key] = "unchanged"
                elif any(states[read] not in ("built", "unchanged") for read in graph[key]):
                    states[key] = "skipped"
                else:
                    states[key] = _build(session, it, run_id, known)
        self.because = {step: it.text for step, it in decision.because.items()}
        return states

    def contents(self) -> dict[str, Any]:
        """The columns and rows, in one order, of each relation that there is of the project."""
        found: dict[str, Any] = {}
        every = self.steps(self.load())
        first = next(iter(every.values()))
        with connect(first.address) as session:
            for it in every.values():
                relation = it.relation
                assert relation is not None
                rows = session.query(
                    "select count(*) from information_schema.tables where"
                    f" table_schema = '{relation.schema}' and table_name = '{relation.name}'"
                )
                if not rows[0][0]:
                    continue
                try:
                    table = session.export(f"select * from {relation.quoted}")
                except WarehouseError as error:  # a view whose query fails
                    found[it.name] = error.kind
                    continue
                values = [tuple(row.values()) for row in table.to_pylist()]
                found[it.name] = (table.column_names, sorted(values, key=repr))
        return found


def _build(session: Session, it: TargetStep, run_id: str, known: KnownInputs) -> str:
    task = task_for(it, run_id, 1, (), known.of(it))
    assert isinstance(task, BuildTask)
    outcome = session.run(task)
    if not outcome.succeeded:
        return "failed"
    known.committed(it, run_id, 1)
    return "built"


def those(states: Mapping[str, str], state: str) -> Collection[str]:
    """The bare names of the steps in this state."""
    return {name.partition(".")[2] for name, it in states.items() if it == state}
