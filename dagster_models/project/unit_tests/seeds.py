"""The types of seeds that nobody declares, for the tests of what reads these seeds.

A build guesses them of the file, so a test of ``dagster-models test`` has them of the warehouse. To
find a value of another type without one, the files are read here, and what tested models read of
them is traced again. A load does not do this: it would read each seed twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dagster_models.core.model import Key, Project, Step
from dagster_models.core.traced import Trace, TraceRequest
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.trace import TraceContext, seed_trace, trace_steps
from dagster_models.sql.lineage.trace import trace
from dagster_models.util import csv_table
from dagster_models.util.csv_table import BadCsv
from dagster_models.util.graph import order
from dagster_models.util.seed_types import SeedType, guess

#: In words that each dialect knows.
_WORDS = {
    SeedType.WHOLE: "bigint",
    SeedType.DECIMAL: "double precision",
    SeedType.DATE: "date",
    SeedType.TIMESTAMP: "timestamp",
    SeedType.BOOLEAN: "boolean",
    SeedType.TEXT: "varchar",
}


def with_seed_types(
    project: Project, tested: Iterable[Key], built: Mapping[str, BuiltSchema]
) -> Project:
    """The project, in which the columns of what those models read have the types of seeds."""
    every = {**project.ephemerals, **project.steps}
    those = _ancestors(every, tested)
    seeds = {key: it for key, it in those.items() if it.kind == "seed" and _is_untyped(it)}
    if not seeds:
        return project
    those |= {key: _typed(it, project) for key, it in seeds.items()}
    context = TraceContext(project.dialect, "ignore", lambda problem: None, _traced)
    found = trace_steps(those, project.sources, built, context)
    steps = {key: replace(it, trace=found[key].trace) for key, it in every.items() if key in found}
    return replace(
        project,
        steps={key: steps.get(key, it) for key, it in project.steps.items()},
        ephemerals={key: steps.get(key, it) for key, it in project.ephemerals.items()},
    )


def _traced(requests: Sequence[TraceRequest]) -> Sequence[Trace]:
    return [trace(it.text, it.dialect, it.upstream) for it in requests]


def _ancestors(every: Mapping[Key, Step], of: Iterable[Key]) -> dict[Key, Step]:
    """Those steps and all that they read, ephemeral models too, in topological order."""
    reads: dict[Key, tuple[Key, ...]] = {}
    pending = [key for key in of if key in every]
    while pending:
        key = pending.pop()
        if key not in reads:
            step = every[key]
            known = () if step.problems else step.resolved.values()  # it may be in a cycle
            reads[key] = tuple(it for it in known if it in every and it != key)
            pending += reads[key]
    names = {str(key): key for key in reads}
    found = order({name: [str(it) for it in reads[key]] for name, key in names.items()})
    return {
        key: replace(every[key], upstream=reads[key]) for key in (names[name] for name in found)
    }


def _is_untyped(seed: Step) -> bool:
    return not all(column.type for column in seed.trace.columns)


def _typed(seed: Step, project: Project) -> Step:
    try:
        with open(os.path.join(project.root, seed.location.path), "rb") as file:
            table = csv_table.read(file.read())
    except (OSError, BadCsv):  # an error of the load
        return seed
    guessed = {
        name: _WORDS[guess(cells).type_]
        for name, cells in zip(table.names, table.columns, strict=True)
    }
    declared = {name.lower() for name in seed.config.column_types}
    kept = {name: type_ for name, type_ in guessed.items() if name.lower() not in declared}
    types = {**kept, **seed.config.column_types}
    return replace(seed, trace=seed_trace(table.names, types, project.dialect))
