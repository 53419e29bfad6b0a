"""Seeded projects for benchmarks, in our form and others: with CTEs, joins and 30 columns."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SOURCES = 20
COLUMNS = 30
DEFINITIONS = (
    "from pathlib import Path\nfrom dagster_models import load_project\n"
    "defs = load_project(Path(__file__).parent)\n"
)


@dataclass(frozen=True)
class Synthetic:
    """``reads``: model -> what it reads, models and ``raw.src_N`` sources."""

    seed: int
    reads: dict[str, list[str]]

    def sql(self, name: str, table: Callable[[str], str]) -> str:
        """The query of a model; *table* writes a name as the tool at hand wants it."""
        draw = random.Random(f"{self.seed} {name}")
        first, *others = self.reads[name]
        base = [f"c{i}" for i in range(COLUMNS)]
        ctes = [
            f"base as (\n    select\n        {_list(base)}\n    from {table(first)}\n"
            f"    where c0 is not null and c{draw.randrange(COLUMNS)} > {draw.randrange(1000)}\n)"
        ]
        joins: list[str] = []
        owners: dict[str, str] = {}  # column -> the CTE that it is taken from
        for number, other in enumerate(others):
            cte, picked = f"other_{number}", draw.sample(base[1:], 5)
            highest = ", ".join(f"max({c}) as {c}" for c in picked)
            ctes.append(
                f"{cte} as (\n    select c0, count(*) as n, {highest}"
                f"\n    from {table(other)}\n    group by c0\n)"
            )
            joins.append(f"left join {cte} on {cte}.c0 = base.c0")
            owners.update(dict.fromkeys(picked, cte))
        columns = ["base.c0"]
        for column in base[1:]:
            if column in owners:
                columns.append(f"coalesce({owners[column]}.{column}, base.{column}) as {column}")
            elif draw.random() < 0.3:
                limit = draw.randrange(100)
                case = f"case when base.{column} > {limit} then base.{column} else 0 end"
                columns.append(f"{case} as {column}")
            else:
                columns.append(f"base.{column}")
        return (
            f"with {', '.join(ctes)}\nselect\n    {_list(columns, 4)}\nfrom base\n"
            + "\n".join(joins)
            + "\n"
        )


def _list(columns: list[str], indent: int = 8) -> str:
    return (",\n" + " " * indent).join(columns)


def make(models: int, seed: int = 1) -> Synthetic:
    """A graph in which a model reads one to three of the models shortly before it, or sources."""
    draw = random.Random(seed)
    reads: dict[str, list[str]] = {}
    names: list[str] = []
    for index in range(models):
        near = names[-200:]
        count = draw.randint(1, 3)
        found = draw.sample(near, min(count, len(near))) if near and draw.random() > 0.1 else []
        reads[f"m{index:05}"] = found or [f"raw.src_{draw.randrange(SOURCES)}"]
        names.append(f"m{index:05}")
    return Synthetic(seed, reads)


def write_ours(project: Synthetic, root: Path) -> None:
    folder = root / "models"
    folder.mkdir(parents=True)
    (root / "dagster_models.yaml").write_text(
        "name: bench\ntargets: {dev: {type: duckdb, path: target/bench.duckdb}}\n"
    )
    (root / "definitions.py").write_text(DEFINITIONS)
    columns = ", ".join(f"c{i}: {{type: INTEGER}}" for i in range(COLUMNS))
    tables = "".join(
        f"      - name: src_{i}\n        columns: {{{columns}}}\n" for i in range(SOURCES)
    )
    (folder / "sources.yaml").write_text(f"sources:\n  - name: raw\n    tables:\n{tables}")
    for name in project.reads:
        place = folder / f"layer_{int(name[1:]) // 500}"
        place.mkdir(exist_ok=True)
        (place / f"{name}.sql").write_text(
            f"/* @model\ndescription: Model {name}.\n*/\n" + project.sql(name, lambda table: table)
        )


def write_dbt(project: Synthetic, root: Path) -> None:
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0.0'\nprofile: bench\nmodel-paths: [models]\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    (root / "profiles.yml").write_text(
        "bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: bench.duckdb}\n"
    )
    tables = "".join(f"      - name: src_{i}\n" for i in range(SOURCES))
    (root / "models" / "sources.yml").write_text(
        f"version: 2\nsources:\n  - name: raw\n    tables:\n{tables}"
    )

    def table(name: str) -> str:
        if "." in name:
            return "{{ source('raw', '" + name.split(".")[1] + "') }}"
        return "{{ ref('" + name + "') }}"

    for name in project.reads:
        place = root / "models" / f"layer_{int(name[1:]) // 500}"
        place.mkdir(exist_ok=True)
        (place / f"{name}.sql").write_text(project.sql(name, table))


def write_sqlmesh(project: Synthetic, root: Path) -> None:
    (root / "models").mkdir(parents=True)
    (root / "config.yaml").write_text(
        "gateways:\n  dev:\n    connection: {type: duckdb, database: bench.duckdb}\n"
        "default_gateway: dev\nmodel_defaults: {dialect: duckdb, start: 2024-01-01}\n"
    )
    columns = "".join(f"    c{i}: INT\n" for i in range(COLUMNS))
    (root / "external_models.yaml").write_text(
        "".join(f"- name: raw.src_{i}\n  columns:\n{columns}" for i in range(SOURCES))
    )

    def table(name: str) -> str:
        return name if "." in name else f"bench.{name}"

    for name in project.reads:
        (root / "models" / f"{name}.sql").write_text(
            f"MODEL (name bench.{name}, kind FULL);\n\n{project.sql(name, table)}"
        )
