"""An event log storage for Dagster on SQLite that keeps its connections open.

For every single event, Dagster's own :class:`SqliteEventLogStorage` creates an SQLAlchemy engine
and a connection, checkpoints the write-ahead log (because that connection is the last to close the
file), and inspects the tables several times. In a step that does little, most of the time goes into
this. This subclass keeps one engine with one open connection per file ("shard": one per run, and
one called the index), remembers what it has found out about the tables, and changes nothing else:
the files, the rows, the transactions and the PRAGMAs are the same. Switching to it and back needs
no migration. A run of models uses it in place of the stock class; Dagster's own processes do if it
is in ``dagster.yaml``::

    event_log_storage:
      module: dagster_models.storage
      class: PooledSqliteEventLogStorage
      config:                      # optional; the default is $DAGSTER_HOME/history/runs,
        base_dir: /path/to/runs    # where Dagster's own storage keeps them

It also writes a batch in two transactions instead of two or three per event. Dagster makes batches
(of the events that announce a run's assets) only if ``DAGSTER_EVENT_BATCH_SIZE`` is set, e.g. 1000.

Keeping connections open has four consequences, which shards.py deals with:

- SQLite's locks do not survive a fork, and a forked child that inherits a connection can lose data
  even if it does not use it. All connections are closed before every fork.
- Nothing writes to ``<run id>.db`` itself while the write-ahead log is open, but Dagster's watchers
  (live logs in the UI) look at that file. So it is touched after each commit.
- Another process may delete a file and create it again. So each use first checks whether it is
  still the same file.
- A SELECT that was not read to its end keeps an old snapshot, from which a connection cannot write.
  So cursors are closed at the end of the block that made them, just as Dagster's own class closes
  them together with the connection.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeGuard

from dagster import AssetKey, EventLogEntry, Field, StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from dagster_models._dagster import event_rows
from dagster_models._dagster.known_records import known_records
from dagster_models._dagster.shards import Shards
from dagster_models.errors import DagsterModelsError

__all__ = ["PooledSqliteEventLogStorage"]

#: How many blocks of ``in_place_of`` a storage of Dagster's own class is in, and the lock of it.
_BLOCKS = "_dagster_models_blocks"
_counting = threading.Lock()


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log storage with one open connection per file.

    Args:
        base_dir: The folder of the ``.db`` files; None stands for ``$DAGSTER_HOME/history/runs``.
        inst_data: How Dagster builds this storage again in another process.

    Raises:
        DagsterModelsError: Neither ``base_dir`` nor ``$DAGSTER_HOME`` is set.
    """

    def __init__(
        self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None
    ) -> None:
        folder = os.path.abspath(base_dir if base_dir is not None else _default_folder())
        # The stock constructor may already read and write the index, so these come before it.
        self._shards = Shards(folder)
        super().__init__(folder, inst_data)
        # Not every storage is disposed of, and Python 3.13 warns of a connection left open.
        weakref.finalize(self, self._shards.close_unless_busy)

    @classmethod
    @contextlib.contextmanager
    def in_place_of(cls, stock: SqliteEventLogStorage) -> Iterator[None]:
        """Let *stock*, a storage of exactly Dagster's own class, be one of this class in the block.

        The object stays the same, because Dagster has handed it to others, who may have watchers
        in it. A run's events then take a fifth of the time, without a line in dagster.yaml. Runs of
        several threads may share the object: it changes back when the last of them leaves the
        block, and while no thread is in the middle of a transaction, whose next event would wait
        for it in vain.

        A thread that is in a method of this class then, and in no transaction, goes on in it with
        an object of Dagster's class. So no method here needs what only this class has, nor
        ``super()``, which would refuse the object; and what opens one transaction in another holds
        the lock of the shards, with which the class stays what it is.
        """
        given = Shards(os.path.dirname(stock.path_for_shard(INDEX_SHARD_NAME)))
        its = vars(stock)
        with _counting:
            its[_BLOCKS] = its.get(_BLOCKS, 0) + 1
            if its[_BLOCKS] == 1:
                its["_shards"] = given  # before its class changes: other threads may use it
                stock.__class__ = cls
            shards = its["_shards"]
        try:
            yield
        finally:
            with shards.lock:
                with _counting:
                    its[_BLOCKS] -= 1
                    is_last = its[_BLOCKS] == 0
                    if is_last:
                        stock.__class__ = SqliteEventLogStorage
                if is_last:
                    shards.close()

    @classmethod
    def is_in_place(cls, storage: object) -> TypeGuard[SqliteEventLogStorage]:
        """Whether the storage is one of this class only for the time of a run."""
        return type(storage) is cls and _BLOCKS in vars(storage)

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        return cls(inst_data=inst_data, **config_value)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on a shard. If one is already open on that shard, this joins it."""
        with self._shards.lock:
            if _is_pooled(self):
                if shard not in self._initialized_dbs:
                    self._initialize(shard)
                with self._shards.connection(shard) as connection:
                    yield connection
                return
        with SqliteEventLogStorage._connect(self, shard) as connection:
            yield connection

    def _initialize(self, shard: str) -> None:
        # This uses an engine of its own, as the stock class does: initialising opens several
        # connections at a time, and happens once per file and process.
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=NullPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        self._initdb(engine)
        engine.dispose()
        self._initialized_dbs.add(shard)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table. Dagster asks for every materialisation with tags."""

        def ask() -> bool:
            with self.index_connection() as connection:
                return bool(connection.dialect.has_table(connection, table_name))

        return _remembered(self._shards, f"table {table_name}", ask)

    def has_secondary_index(self, name: str) -> bool:
        """Whether a data migration has been done (Dagster calls that a secondary index).

        Dagster asks twice for the inputs of each step.
        """
        stock = partial(SqliteEventLogStorage.has_secondary_index, self, name)
        return _remembered(self._shards, f"migration {name}", lambda: bool(stock()))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        """Whether the index has the column.

        The stock class has SQLAlchemy inspect the table for every asset event, and twice for the
        inputs of every step.
        """
        stock = partial(SqliteEventLogStorage._has_asset_key_col_on_connection, self)
        known = f"column {column_name}"
        return _remembered(self._shards, known, lambda: bool(stock(conn, column_name)))

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[Any]:
        """What the index knows of these assets. Dagster asks for the inputs of every step.

        An asset's row holds its last materialisation, unless the asset was wiped or an old version
        of Dagster wrote the row. The stock class makes the statement anew each time, queries the
        database for such assets even if there are none, and parses the text of an upstream again
        for each of its downstreams.
        """
        rows = event_rows.asset_rows(self, asset_keys)
        records = [
            None if row["asset_details"] else known_records.record_of(row["last_materialization"])
            for row in rows or ()
        ]
        if rows is None or None in records:
            return SqliteEventLogStorage.get_asset_records(self, asset_keys)
        return [
            self._construct_asset_record_from_row(row, record, True)
            for row, record in zip(rows, records, strict=True)
        ]

    def store_event(self, event: EventLogEntry) -> None:
        stock = partial(SqliteEventLogStorage.store_event, self)
        with self._shards.lock:  # the class stays what it is
            if _is_pooled(self):
                event_rows.store(self, event, stock)
                return
        stock(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction per file: all of them, or none if one is refused.

        The index commits last, as it does for a single event. It must be all or nothing, because
        Dagster answers an exception by storing the same events again, one by one.
        """
        with self._shards.lock:  # the class stays what it is
            if _is_pooled(self):
                with self.index_connection():
                    for run_id, of_run in groupby(events, key=lambda event: event.run_id):
                        with self.run_connection(run_id):
                            for event in of_run:
                                self.store_event(event)
                return
        SqliteEventLogStorage.store_event_batch(self, events)

    @contextlib.contextmanager
    def one_commit(self, run_id: str) -> Iterator[None]:
        """Commit all that this thread stores for the run inside the block at once, when the block
        ends.

        It is committed even if the block raises, because the stored events did happen. The
        executor writes the last events of a step in such a block, so a reader sees all of them or
        none. Keep the block short: other threads, and other processes that write, wait for it.
        """
        raised: BaseException | None = None
        with self._shards.lock:  # the class stays what it is
            if _is_pooled(self):
                with self.index_connection(), self.run_connection(run_id):
                    try:
                        yield
                    except BaseException as error:
                        raised = error
                if raised is not None:
                    raise raised
                return
        yield  # each event by itself

    def wipe(self) -> None:
        with self._shards.lock:  # no thread may open a file again before it is deleted
            self._shards.close()
            SqliteEventLogStorage.wipe(self)

    def dispose(self) -> None:
        SqliteEventLogStorage.dispose(self)  # ends the watcher, which still reads the files
        self._shards.close()


def _is_pooled(storage: object) -> bool:
    """Whether the storage has not changed back: see ``in_place_of``."""
    return isinstance(storage, PooledSqliteEventLogStorage)


def _remembered(shards: Shards, fact: str, ask: Callable[[], bool]) -> bool:
    """Whether a fact about the index holds. A yes is remembered; a no is asked again.

    A yes stays true as long as the index is the same file, because `dagster instance migrate` only
    adds to it, even if another process runs that.
    """
    facts = shards.facts(INDEX_SHARD_NAME)
    if fact not in facts and ask():
        facts.add(fact)
    return fact in facts


def _default_folder() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise DagsterModelsError(
            "PooledSqliteEventLogStorage cannot find the event log, because DAGSTER_HOME is not"
            " set. Set it, or set `base_dir` under `config` of `event_log_storage` in dagster.yaml."
        )
    return str(Path(home).expanduser() / "history" / "runs")
