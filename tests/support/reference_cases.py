"""The cases of data/references/*.sql: title, dialect, SQL, and what it must yield.

Each case is run, or says why not. Those of DuckDB's dialect are run on the tables that
test_references.py makes for them all. Others name theirs: `-- tables: raw.orders (id integer); b`
are created for the case; one without columns has an `id`. The cases of PostgreSQL's dialect run on
PostgreSQL, all others on DuckDB. `-- executed: no, <why>` is for those that cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import paths
from dagster_models.core.model import Reference
from dagster_models.sql.fill_in import quote

FOLDER = paths.DATA / "references"


@dataclass(frozen=True)
class Case:
    title: str
    text: str
    settings: dict[str, str] = field(hash=False)
    replaced: str | None = None

    @property
    def dialect(self) -> str:
        return self.settings["dialect"]

    @property
    def references(self) -> list[str]:
        return [name for name in self.settings["references"].split(", ") if name]

    @property
    def tables(self) -> list[str] | None:
        """What stands behind CREATE TABLE, for each table that the text reads when it is run."""
        told = self.settings.get("tables")
        return None if told is None else [t for t in told.split("; ") if t != "none"]


def read_cases(path: Path) -> Iterator[Case]:
    for part in re.split(r"^-- title: ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        settings, lines, replaced = {}, [], None
        for line in rest.rstrip("\n").split("\n"):
            told = re.match(r"-- (dialect|tables|executed|references|replaced):\s?(.*)$", line)
            if told and told[1] == "replaced":
                replaced = []
            elif told:
                settings[told[1]] = told[2].strip()
            else:
                (lines if replaced is None else replaced).append(line)
        answer = None if replaced is None else "\n".join(replaced)
        yield Case(title, "\n".join(lines), settings, answer)


CASES = [case for path in sorted(FOLDER.glob("*.sql")) for case in read_cases(path)]
#: Run on the common tables, their rows compared.
EXECUTED = [c for c in CASES if c.dialect == "duckdb" and "executed" not in c.settings]
#: Bound by the engine whose dialect theirs is, or by DuckDB, each on tables of its own.
BOUND = [c for c in CASES if c.tables is not None]
#: Engine -> the titles of the cases that it was asked about; conftest.py tells how many.
ran: dict[str, set[str]] = {}


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.title)


def renamed(dialect: str, suffix: str = "_v2") -> Callable[[Reference], str]:
    def relation(reference: Reference) -> str:
        schema, name = ("main", *reference.parts)[-2:]
        return f"{quote('dev_' + schema, dialect)}.{quote(name + suffix, dialect)}"

    return relation


def as_written(text: str) -> Callable[[Reference], str]:
    return lambda reference: text[reference.start : reference.end]
