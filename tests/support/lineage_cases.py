"""Cases of column lineage as data: tests/data/lineage/*.sql, which an SQL author can extend.

    -- title: a renamed column
    -- dialect: postgres                    (default: duckdb)
    -- given: orders (id INTEGER, s STRUCT(a INTEGER, b VARCHAR))
    -- given open: raw (id)                 a table whose columns are not all known
    -- given uncertain: src (id INTEGER)    a table whose columns are declared, not built here
    select id as order_id, 1.5 as half from orders
    -- column: order_id INTEGER <- orders.id
    -- column: half DECIMAL(2,1)
    -- reason: ...                          the column list is not complete, and why
    -- problem: 1:8 certain: the column ...

`?` is a name or a type that is not known. `(why)` behind a column says why sources may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paths
from dagster_models.core.traced import Schema, Trace, Upstream

DATA = paths.DATA / "lineage"


@dataclass(frozen=True)
class Case:
    """``tables``: name -> its columns with types, as written; ``expected``: the expected lines."""

    title: str
    dialect: str
    tables: dict[str, str]
    kinds: dict[str, str]
    sql: str
    expected: tuple[str, ...]

    @property
    def upstream(self) -> dict[str, Upstream]:
        found = {}
        for name, columns in self.tables.items():
            kind = self.kinds[name]
            schema = Schema(split_columns(columns), kind != "open", kind == "")
            found[name] = Upstream(("db", name), schema)
        return found


def split_columns(text: str) -> tuple[tuple[str, str], ...]:
    parts, depth, begin = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "(<") - (char in ")>")
        if char == "," and depth == 0:
            parts.append(text[begin:index])
            begin = index + 1
    found = [re.match(r'\s*("[^"]+"|\S+)(.*)', part) for part in [*parts, text[begin:]]]
    return tuple((column[1].strip('"'), column[2].strip()) for column in found if column)


def read_cases(path: Path) -> Iterator[Case]:
    for text in re.split(r"^(?=-- title: )", path.read_text(encoding="utf-8"), flags=re.M):
        if not text.startswith("-- title: "):
            continue
        values: dict[str, str] = {}
        tables: dict[str, str] = {}
        kinds: dict[str, str] = {}
        sql, expected = [], []
        for line in text.rstrip().split("\n"):
            key, _, value = line.removeprefix("-- ").partition(": ")
            if line.startswith("-- given"):
                name, columns = re.fullmatch(r"(\S+) \((.*)\)", value).groups()  # type: ignore[union-attr]
                tables[name] = columns
                kinds[name] = key.removeprefix("given").strip()
            elif line.startswith(("-- title: ", "-- dialect: ")):
                values[key] = value
            elif line.startswith(("-- column: ", "-- reason: ", "-- problem: ")):
                expected.append(line)
            else:
                sql.append(line)
        dialect = values.get("dialect", "duckdb")
        yield Case(values["title"], dialect, tables, kinds, "\n".join(sql), tuple(expected))


CASES = {
    f"{p.stem}: {case.title}": case for p in sorted(DATA.glob("*.sql")) for case in read_cases(p)
}


def lines_of(trace: Trace) -> tuple[str, ...]:
    """A trace as the lines that a case expects."""
    lines = []
    for column in trace.columns:
        sources = ", ".join(f"{name}.{source}" for (_, name), source in column.sources)
        line = f"-- column: {column.name or '?'} {column.type or '?'}"
        line += f" <- {sources}" if sources else ""
        lines.append(line + (f" ({column.reason})" if column.reason else ""))
    if not trace.closed:
        lines.append(f"-- reason: {trace.reason}")
    for it in trace.problems:
        word = "certain: " if it.certain else ""
        lines.append(f"-- problem: {it.line}:{it.column} {word}{it.what}. {it.fix}")
    return tuple(lines)
