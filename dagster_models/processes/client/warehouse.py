"""``warehouse``: what a Python model or script sees of the warehouse.

A Python model is handed a ``Warehouse``; a script imports ``from dagster_models import
warehouse``, whose functions ``sql``, ``table``, ``execute`` and ``load`` work on the warehouse
of the step that is running. Outside of a run they raise an error that says how to run the script.

Statements are sent one by one, and each commits on its own. The table that a model returns is
published in a transaction of its own, together with its commit record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from dagster_models.core.materializations import Reading
from dagster_models.core.model import EMPTY
from dagster_models.core.stand_ins import KEYS, SINCE, STAND_INS
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.partition import BuiltPartition
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.tables import to_arrow
from dagster_models.util import arrow_files

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from dagster_models.processes.client.streams import Stream

__all__ = ["Result", "Warehouse", "execute", "load", "sql", "table"]

#: Statements that only write. ``sql()`` is lazy, so they would silently never run.
_WRITES = re.compile(
    "abort|alter|analyze|attach|begin|checkpoint|commit|copy|create|delete|detach|drop|end|grant|"
    "insert|install|load|merge|release|reset|revoke|rollback|savepoint|set|start|truncate|update|"
    "use|vacuum",
    re.IGNORECASE,
)
_HEAD = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(\w*)", re.DOTALL)
_NAME_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".\s][^".]*?))\s*(\.|\Z)')


def spool(connection: StepConnection, stream: Stream | pyarrow.RecordBatchReader) -> str:
    """Write a stream's rows to a file that outlives the session; return its path.

    The stream runs the user's code, which may use the warehouse meanwhile, from any thread.
    """
    folders = connection.use(lambda session: session.lasting_folders)
    return arrow_files.write(folders, stream.schema, stream)[0]


class Result:
    """The result of one query. The query runs once, at the first use, and its rows are kept."""

    def __init__(self, connection: StepConnection, text: str) -> None:
        self._connection = connection
        self._text = text
        self._table: pyarrow.Table | None = None
        self._rows: Iterator[tuple[Any, ...]] | None = None

    def arrow(self) -> pyarrow.Table:
        """Return a pyarrow Table, with the warehouse's exact types."""
        if self._table is None:
            self._table = self._connection.use(lambda session: session.export(self._text))
        return self._table

    def df(self) -> pandas.DataFrame:
        """Return a pandas DataFrame. As with DuckDB's own ``df()``, decimals and integers of more
        than 64 bits become floats, and dates become datetime64; ``arrow()`` keeps them exact."""
        import pyarrow as pa

        table = self.arrow()
        for at, field in enumerate(table.schema):
            if pa.types.is_decimal(field.type):
                column = table.column(at).cast(pa.float64())
                table = table.set_column(at, field.name, column)
        return table.to_pandas(date_as_object=False)

    def pl(self) -> polars.DataFrame:
        """Return a polars DataFrame."""
        import polars

        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples of Python values."""
        return list(self)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last one."""
        if self._rows is None:
            self._rows = iter(self)
        return next(self._rows, None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self.arrow().to_batches(max_chunksize=10_000):
            # By position: a query may have two columns of one name.
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    @property
    def query(self) -> str:
        """The query as it is sent."""
        return self._text

    @property
    def columns(self) -> list[str]:
        """The columns' names, in order."""
        return list(self.arrow().schema.names)

    def __len__(self) -> int:
        return int(self.arrow().num_rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow's own protocol: ``polars.DataFrame(result)``, ``pyarrow.table(result)``."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        state = "not run yet" if self._table is None else f"{len(self)} rows"
        return f"<Result of {self._text!r}, {state}>"


class Warehouse:
    """The warehouse of one step.

    ``queries`` maps each literal SQL text of the Python file to the text to send (with its table
    names replaced), and ``relations`` maps table names to their SQL. Both were compiled before the
    task was sent to this process. ``reading`` is what an incremental model is given.
    """

    def __init__(
        self,
        connection: StepConnection,
        queries: Mapping[str, str] = EMPTY,
        relations: Mapping[str, str] = EMPTY,
        reading: Reading | None = None,
        partition: BuiltPartition | None = None,
    ) -> None:
        self._connection, self._queries, self._relations = connection, queries, relations
        self._reading, self._partition = reading, partition

    @property
    def is_incremental(self) -> bool:
        """Whether the rows that the model returns are added to its table: it is there, and no full
        refresh was asked for."""
        return self._reading is not None and not self._reading.whole

    @property
    def partition(self) -> BuiltPartition | None:
        """The partitions whose rows the model is to return: ``key`` or ``keys``, ``start`` and
        ``end``. None if it is to return all rows of its table."""
        return self._partition

    @property
    def since(self) -> Any:
        """The value of `$since`: the largest one of the column that `since:` names, less the
        lookback. In a first build and a full refresh it is that of `begin`, else None."""
        since = self._reading.since if self._reading is not None else None
        if since is None:
            return None
        return self.sql(f"select {since} as since").arrow().column(0)[0].as_py()

    def sql(self, query: str) -> Result:
        """The result of a query, run when its rows are first asked for.

        A string literal may name models as SQL models do; a string that is built at run time is
        sent unchanged. Raises ValueError for a statement that returns no rows: use ``execute``.
        """
        text = self._text(query)
        match = _HEAD.match(text)
        word = match.group(1) if match else ""
        if _WRITES.fullmatch(word):
            raise ValueError(self._instead_of(word.upper()))
        return Result(self._connection, text)

    def _instead_of(self, word: str) -> str:
        """What to do with a statement that is not a query, as an error."""
        what = "warehouse.sql() takes only queries, which it runs lazily"
        return f"{what}; use warehouse.execute() for {word}"

    def table(self, name: str) -> Result:
        """All rows of a model, seed, source or any other table. Raises ValueError if *name* is not
        a table's name."""
        return Result(self._connection, f"select * from {self._relation(name)}")

    def execute(self, statement: str) -> None:
        """Run a statement immediately. It commits on its own. Raises WarehouseError."""
        text = self._text(statement)
        self._connection.use(lambda session: session.execute(text))

    def load(self, data: Any, name: str, mode: Literal["replace", "append"] = "replace") -> None:
        """Write ``data`` (anything a model may return) to the table ``name`` immediately.

        Raises TypeError or ValueError if the data is not a table, and WarehouseError if the
        warehouse refuses it.
        """
        if mode not in ("replace", "append"):
            raise ValueError(f"mode is {mode!r}; it must be 'replace' or 'append'")
        relation = self._relation(name)
        table = to_arrow(data, f"the data for {name}")
        if hasattr(table, "num_rows"):
            self._connection.use(lambda session: session.load(table, relation, mode))
            return
        path = spool(self._connection, table)
        self._connection.use(lambda session: session.load_file(path, relation, mode))

    def _text(self, query: str) -> str:
        if not isinstance(query, str):
            raise TypeError(f"SQL must be a str, not {type(query).__qualname__}")
        _refuse_unsendable(query)
        text = self._with_windows(self._queries.get(query, query))
        if SINCE not in text:
            return text
        if self._reading is None or self._reading.since is None:
            raise ValueError(
                "$since has no value before the first build: set `begin:` in the model's header,"
                " or write another query for `not warehouse.is_incremental`"
            )
        return text.replace(SINCE, self._reading.since)

    def _with_windows(self, text: str) -> str:
        for stand_in, value in self._reading.windows if self._reading is not None else ():
            text = text.replace(stand_in, value)
        for stand_in, (name, _) in STAND_INS.items():
            if stand_in in text:
                raise ValueError(f"${name} has no value here: {_NO_VALUE[name in KEYS]}")
        return text

    def _relation(self, name: str) -> str:
        _refuse_unsendable(name)
        known = self._relations.get(name)
        return quoted(name) if known is None else known


_NO_VALUE = (
    "bind a literal, which gives it a type before the first build:"
    " /*$partition_start*/ date '2024-01-01'",
    "use `$partition_keys`, or ask for `warehouse.partition`, which is None if all of the table is"
    " built",
)


def _refuse_unsendable(text: str) -> None:
    if "\0" in text:
        raise ValueError(
            "the SQL holds '\\x00', at which a warehouse ends the text: what follows would not run."
            " Leave it out, or write a function that returns it (chr(0) or the like), if the"
            " warehouse has this character in texts"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start : error.end]
        raise ValueError(
            f"the SQL holds {found!r}, which is no character: half of one that was cut in two, or a"
            " byte of a file's name that is not UTF-8 (os.fsencode(name) has these bytes)"
        ) from None


def quoted(name: str) -> str:
    """Return a dotted name as SQL: ``a.b`` -> ``"a"."b"``.

    Parts in double quotes keep their dots.
    """
    parts, at = [], 0
    while match := _NAME_PART.match(name, at):
        inner, bare, end = match.groups()
        parts.append(f'"{inner}"' if inner is not None else '"{}"'.format(bare.replace('"', '""')))
        at = match.end()
        if not end:
            return ".".join(parts)
    raise ValueError(f"{name!r} is not a table's name; write it as name or schema.name")


_current: Warehouse | None = None


@contextmanager
def bound(warehouse: Warehouse) -> Iterator[None]:
    """Make ``warehouse`` the one that this module's functions use."""
    # A plain global on purpose: threads that a script starts see it too.
    global _current
    before, _current = _current, warehouse
    try:
        yield
    finally:
        _current = before


def _running() -> Warehouse:
    if _current is None:
        raise DagsterModelsError(
            "`warehouse` works only in a step of a run, and no step is running here. Run this file "
            "by itself with `dagster-models script FILE`, or as part of its project: `dagster job "
            "execute`, or materialize it in `dagster dev`."
        )
    return _current


def sql(query: str) -> Result:
    """``Warehouse.sql`` of the step that is running."""
    return _running().sql(query)


def table(name: str) -> Result:
    """``Warehouse.table`` of the step that is running."""
    return _running().table(name)


def execute(statement: str) -> None:
    """``Warehouse.execute`` of the step that is running."""
    _running().execute(statement)


def load(data: Any, name: str, mode: Literal["replace", "append"] = "replace") -> None:
    """``Warehouse.load`` of the step that is running."""
    _running().load(data, name, mode)
