"""What is known of a relation's columns before it is built, as frozen values free of sqlglot.

A *schema* is what a reader may rely on. A *trace* is what the analysis of a query has found: its
columns, and the upstream columns that each is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

#: (schema, name), as model.Key.
Name = tuple[str, str]
#: A column of something that the query reads.
Origin = tuple[Name, str]
#: Such a column, and what is left of it if it is a time: a unit of partitions.UNITS.
Kept = tuple[Name, str, str]
#: Something that looks at rows beyond its groups: what, line, column, the relations whose rows it
#: looks at, and the columns of them that its groups are made by.
Spanning = tuple[str, int, int, tuple[Name, ...], tuple[Origin, ...]]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a relation that is read, in order, each with its type ("" if unknown).

    ``closed``: there are no others. ``certain``: the project's own SQL and seeds say so, and a
    column that is missing here will be missing in the warehouse too.
    """

    columns: tuple[tuple[str, str], ...] = ()
    closed: bool = False
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a name in a query refers to: the key of an asset, and its schema.

    ``trace`` is that of the query which stands in place of the name, if the model has no relation.
    """

    key: Name
    schema: Schema = Schema()
    trace: Trace | None = None


class TraceRequest(NamedTuple):
    """All that decides a trace: the arguments of ``lineage.trace``."""

    text: str
    dialect: str
    upstream: Mapping[str, Upstream]


Meant = Mapping[str, Upstream | None]
"""What names probably mean, by the name in lower case; None: something outside of the project."""


class TracedColumn(NamedTuple):
    """One column of a query. (It is a tuple because a project has hundreds of thousands of them.)

    ``name`` is "" if only the warehouse knows it (an expression without an alias). ``type`` is the
    warehouse's own word, or "" if it is unknown. ``reason`` says why ``sources`` are incomplete.
    ``digest`` is that of the column's expression, down to the upstream columns: equal expressions
    have equal digests. ``kept``: each of its values is that of one of these columns, perhaps cast
    or truncated; () if it is anything else.
    """

    name: str
    type: str = ""
    sources: tuple[Origin, ...] = ()
    reason: str = ""
    digest: str = ""
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """A reference to a column that does not exist or is ambiguous. Counts start at 1.

    ``certain``: the warehouse would refuse the query. Otherwise the schema may be out of date.
    ``no_table``: its prefix is no table of the FROM, which every SQL refuses. ``missing``: the
    column that does not exist, if that is the problem.
    """

    what: str
    line: int
    column: int
    fix: str = ""
    certain: bool = False
    no_table: bool = False
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a query's columns. ``closed`` and ``certain`` are as in Schema.

    ``reason`` says why some columns are missing. ``rows`` is a digest of everything that decides
    which rows there are: FROM, WHERE, GROUP BY, LIMIT and so on, down to the upstream columns,
    which are in ``row_sources``. ``spanning``: the windows, DISTINCT ON, LIMIT and self joins.
    """

    columns: tuple[TracedColumn, ...] = ()
    closed: bool = False
    certain: bool = False
    reason: str = ""
    rows: str = ""
    problems: tuple[ColumnProblem, ...] = ()
    row_sources: tuple[Origin, ...] = ()
    spanning: tuple[Spanning, ...] = ()

    @property
    def schema(self) -> Schema:
        """What a reader of the query's relation may rely on."""
        named = tuple([column[:2] for column in self.columns if column[0]])
        closed = self.closed and len(named) == len(self.columns)
        return Schema(named, closed, self.certain)


NOTHING_TRACED = Trace()
#: ``TracedColumn._make`` without its check of the length, in a third of the time.
_column_of: Callable[[tuple[Any, ...]], TracedColumn] = partial(tuple.__new__, TracedColumn)


def plain_trace(found: Trace) -> tuple[Any, ...]:
    """A trace as plain tuples and texts, in the order of its fields."""
    problems = tuple(
        (p.what, p.line, p.column, p.fix, p.certain, p.no_table, p.missing) for p in found.problems
    )
    columns = tuple(map(tuple, found.columns))
    rest = (found.closed, found.certain, found.reason, found.rows)
    return (columns, *rest, problems, found.row_sources, found.spanning)


def trace_of(plain: tuple[Any, ...]) -> Trace:
    """The inverse of ``plain_trace``. May raise any exception if *plain* is something else."""
    columns, *rest, problems, row_sources, spanning = plain
    closed, certain, reason, rows = rest
    if columns and set(map(len, columns)) != {len(TracedColumn._fields)}:
        raise ValueError("a column has other fields")
    return Trace(
        tuple(map(_column_of, columns)),
        closed,
        certain,
        reason,
        rows,
        tuple(ColumnProblem(*problem) for problem in problems),
        row_sources,
        spanning,
    )
