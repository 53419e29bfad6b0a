"""What is known of a relation's columns before it is built: frozen values, free of sqlglot.

A *schema* is what a reader may rely on; a *trace* is what a query was found to say: its columns,
and for each the upstream columns that it is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: (schema, name), as model.Key.
Name = tuple[str, str]
#: A column of something that the query reads.
Origin = tuple[Name, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a relation that is read, each with its type ("" if not known), in order.

    ``closed``: there are no others. ``certain``: it is what the project's own SQL and seeds say,
    so that a column that is not there will not be there in the warehouse either.
    """

    columns: tuple[tuple[str, str], ...] = ()
    closed: bool = False
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a name in a query means: the key of an asset, and its schema."""

    key: Name
    schema: Schema = Schema()


class Query(NamedTuple):
    """What decides a trace: the arguments of ``lineage.trace``."""

    text: str
    dialect: str
    upstream: Mapping[str, Upstream]


class TracedColumn(NamedTuple):
    """One column of a query. (A tuple, as a project has hundreds of thousands of them.)

    ``name`` is "" where only the warehouse knows it (an expression without an alias). ``type`` is
    the warehouse's own word, "" if not known. ``reason`` says why ``sources`` are not all there.
    ``digest`` stands for its expression, down to the upstream columns: equal for equal ones.
    """

    name: str
    type: str = ""
    sources: tuple[Origin, ...] = ()
    reason: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """A column that is not there, or of which there are several. Counts start at 1.

    ``certain``: the warehouse would refuse the query; else the schema may be out of date.
    """

    what: str
    line: int
    column: int
    fix: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a query's columns. ``closed`` and ``certain`` as in Schema.

    ``reason``: why some columns are missing. ``rows`` is a digest of all that decides which rows
    there are: FROM, WHERE, GROUP BY, LIMIT and so on, down to the upstream columns, which are in
    ``row_sources``.
    """

    columns: tuple[TracedColumn, ...] = ()
    closed: bool = False
    certain: bool = False
    reason: str = ""
    rows: str = ""
    problems: tuple[ColumnProblem, ...] = ()
    row_sources: tuple[Origin, ...] = ()

    @property
    def schema(self) -> Schema:
        """What a reader of the query's relation may rely on."""
        named = tuple([(name, type_) for name, type_, *_ in self.columns if name])
        closed = self.closed and len(named) == len(self.columns)
        return Schema(named, closed, self.certain)


NOTHING_TRACED = Trace()


def plain_trace(found: Trace) -> tuple[Any, ...]:
    """A trace as nothing but tuples and texts, in the order of its fields."""
    problems = tuple((p.what, p.line, p.column, p.fix, p.certain) for p in found.problems)
    columns = tuple(map(tuple, found.columns))
    rest = (found.closed, found.certain, found.reason, found.rows)
    return (columns, *rest, problems, found.row_sources)


def trace_of(plain: tuple[Any, ...]) -> Trace:
    """The trace that ``plain_trace`` made *plain* of. Raises anything for something else."""
    columns, *rest, problems, row_sources = plain
    closed, certain, reason, rows = rest
    return Trace(
        tuple(map(TracedColumn._make, columns)),
        closed,
        certain,
        reason,
        rows,
        tuple(ColumnProblem(*problem) for problem in problems),
        row_sources,
    )
