"""The rows of a query, as a table in the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dagster_models.cli.project import counted, refuse_missing
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.model import Project, Target
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.util.secrets import without
from dagster_models.util.text_table import aligned

_ROWS = 20
_WIDEST = 60  #: characters of a value


def add_limit(parser: argparse.ArgumentParser) -> None:
    text = f"how many rows (default: {_ROWS})"
    parser.add_argument("--limit", type=_positive, default=_ROWS, metavar="N", help=text)


def _positive(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of rows, got {text!r}")
    return int(text)


def print_rows(project: Project, target: Target, query: str, limit: int) -> int:
    """Print the first rows of a query, which the warehouse process reads: a run may have the
    database open."""
    refuse_missing(target)
    try:
        with connect(warehouse_address(project, target)) as session:
            print(rows_text(session, project, target, query, limit))
    finally:
        leave_all()
    return 0


def rows_text(session: Session, project: Project, target: Target, query: str, limit: int) -> str:
    """The first rows of a query as a table, and their number."""
    session.begin(reading=True)  # also what functions of the query would write is refused
    try:
        columns = session.request({"op": "query_columns", "sql": query})["columns"]
        found = session.export(_printed(query, len(columns), limit + 1, target))
    finally:
        if not session.closed:  # as it is after Ctrl-C
            session.rollback()
    texts = zip(*found.to_pydict().values(), strict=True)
    rows = [[_text(value) for value in row] for row in texts]
    count = f"{'first ' if len(rows) > limit else ''}{counted(min(len(rows), limit), 'row')}"
    text = "\n".join(aligned(_table([name for name, _ in columns], rows[:limit])))
    return f"{without(text, project.secrets)}\n({count})"


def _printed(query: str, columns: int, limit: int, target: Target) -> str:
    """A query of the same rows in which the warehouse itself has turned the values into texts:
    pyarrow and Python have not all types, and not all values of those that they have."""
    if not columns:
        raise DagsterModelsError("the query returns no columns")
    names = [f"c{number}" for number in range(columns)]
    texts = (target.type.value_forms.of(f"shown.{name}").printed for name in names)
    listed = ", ".join(f"{text} as {name}" for text, name in zip(texts, names, strict=True))
    return f"select {listed} from (\n{query} limit {limit}\n) as shown({', '.join(names)})"


def _text(value: object) -> str:
    text = "NULL" if value is None else " ".join(str(value).split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    rule = ["-" * max(map(len, column)) for column in zip(names, *rows, strict=True)]
    return [names, rule, *rows]
