"""An event log storage for Dagster on SQLite that keeps its connections open.

Dagster's own :class:`SqliteEventLogStorage` makes an SQLAlchemy engine, a connection and, as the
last one to close a file, a checkpoint for every single event, and looks up what the tables are like
several times for each; that is most of the time of a step that does little. This subclass keeps one
engine with one connection per file ("shard": one per run, and the index), remembers what it saw
of the tables, and changes nothing else: the same files, the same rows, the same transactions, the
same PRAGMAs. Going there and back needs no migration. In ``dagster.yaml``::

    event_log_storage:
      module: dagster_models.storage
      class: PooledSqliteEventLogStorage
      config:                      # optional; the default is $DAGSTER_HOME/history/runs,
        base_dir: /path/to/runs    # where Dagster's own storage keeps them

It also writes batches in two transactions instead of two or three per event. Dagster makes batches
(of the events that announce a run's assets) only if ``DAGSTER_EVENT_BATCH_SIZE`` is set, e.g. 1000.

What an open connection changes, and what is done about it:

- SQLite's locks do not survive a fork, and a forked child that meets an inherited connection, even
  one that it does not use, can lose data: all connections are closed before every fork.
- Nothing writes to ``<run id>.db`` while the write-ahead log is open, but that is the file which
  Dagster's watchers (live logs in the UI) look at: it is touched after each commit.
- A file may be deleted and made anew by another process: it is looked at before each use.
- A SELECT that was not read to its end keeps an old snapshot, from which one cannot write: cursors
  are closed with the block that made them, as closing the connection did.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    EventLogEntry,
    EventLogRecord,
    Field,
    StringSource,
    deserialize_value,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from dagster_models._dagster.asset_rows import AssetRows
from dagster_models._dagster.shards import Shards
from dagster_models.errors import DagsterModelsError

__all__ = ["PooledSqliteEventLogStorage"]


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log storage with one open connection per file.

    Args:
        base_dir: The folder of the ``.db`` files; ``$DAGSTER_HOME/history/runs`` if None.
        inst_data: How Dagster builds this storage again in another process.

    Raises:
        DagsterModelsError: Neither ``base_dir`` nor ``$DAGSTER_HOME`` is set.
    """

    def __init__(
        self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None
    ) -> None:
        folder = os.path.abspath(base_dir if base_dir is not None else _default_folder())
        # Before the stock constructor, which may already read and write the index.
        self._shards = Shards(folder)
        self._asset_rows = AssetRows()
        super().__init__(folder, inst_data)
        # Not every instance is disposed of; a connection that is merely forgotten warns on 3.13.
        weakref.finalize(self, self._shards.close_unless_busy)

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
        """One transaction on a shard; inside another one on the same shard, a part of that."""
        with self._shards.lock:
            if shard not in self._initialized_dbs:
                self._initialize(shard)
            with self._shards.connection(shard) as connection:
                yield connection

    def _initialize(self, shard: str) -> None:
        # With an engine of its own, as in the stock class: its steps open several connections at
        # a time, and it happens once per file and process.
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=NullPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        self._initdb(engine)
        engine.dispose()
        self._initialized_dbs.add(shard)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table. Asked for every materialisation that has tags."""

        def ask() -> bool:
            with self._shards.connection(INDEX_SHARD_NAME) as connection:
                return bool(connection.dialect.has_table(connection, table_name))

        return self._remembered(f"table {table_name}", ask)

    def has_secondary_index(self, name: str) -> bool:
        """Whether a migration of data is done. Asked twice for the inputs of every step."""
        stock = super().has_secondary_index
        return self._remembered(f"migration {name}", lambda: bool(stock(name)))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        """Whether the index has the column: the stock class has SQLAlchemy look at the table for
        every asset event, and twice for the inputs of every step."""
        stock = super()._has_asset_key_col_on_connection
        return self._remembered(f"column {column_name}", lambda: bool(stock(conn, column_name)))

    def _event_to_row(self, event: EventLogEntry) -> dict[str, Any]:
        row: dict[str, Any] = super()._event_to_row(event)
        self._asset_rows.written(event, row["event"])
        return row

    def _get_asset_entry_values(
        self, event: EventLogEntry, event_id: int, has_asset_key_index_cols: bool
    ) -> dict[str, Any]:
        stock = super()._get_asset_entry_values
        return self._asset_rows.values(event, event_id, has_asset_key_index_cols, stock)

    def _get_latest_materialization_records(
        self, raw_asset_rows: Sequence[Any]
    ) -> Mapping[AssetKey, EventLogRecord | None]:
        """Each asset's last materialisation. Asked for the inputs of every step.

        A row holds it, unless the asset was wiped or an old version of Dagster wrote the row; the
        stock class asks the database for those, also where there are none, and reads the text of
        an upstream again for each of its downstreams.
        """
        found: dict[AssetKey, EventLogRecord | None] = {}
        for row in raw_asset_rows:
            key = AssetKey.from_db_string(row["asset_key"])
            record = None if row["asset_details"] else _record_of(row["last_materialization"])
            if key is None or record is None:
                stock: Mapping[AssetKey, EventLogRecord | None]
                stock = super()._get_latest_materialization_records(raw_asset_rows)
                return stock
            found[key] = record
        return found

    def _remembered(self, fact: str, ask: Callable[[], bool]) -> bool:
        """A yes stays one as long as the index is the same file: `dagster instance migrate`, also
        of another process, only adds. A no is asked again."""
        facts = self._shards.facts(INDEX_SHARD_NAME)
        if fact not in facts and ask():
            facts.add(fact)
        return fact in facts

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction per file: all of them, or none if one is refused.

        The index commits last, as it does for a single event. All-or-nothing matters: Dagster
        answers an exception by storing the same events again, one by one.
        """
        with self.index_connection():
            for run_id, of_run in groupby(events, key=lambda event: event.run_id):
                with self.run_connection(run_id):
                    for event in of_run:
                        self.store_event(event)

    @contextlib.contextmanager
    def one_commit(self, run_id: str) -> Iterator[None]:
        """What this thread stores of the run within the block is committed together, at its end.

        Also if the block raises: what was stored is what happened. The executor writes a step's
        last events so, which are then there all or not at all. Other threads wait meanwhile, and
        other processes that write too: the block should be short.
        """
        raised: BaseException | None = None
        with self.index_connection(), self.run_connection(run_id):
            try:
                yield
            except BaseException as error:
                raised = error
        if raised is not None:
            raise raised

    def wipe(self) -> None:
        with self._shards.lock:  # nobody opens a file again before it is deleted
            self._shards.close()
            super().wipe()

    def dispose(self) -> None:
        super().dispose()  # first the watcher, which reads
        self._shards.close()


@lru_cache(maxsize=256)
def _record_of(text: str | None) -> EventLogRecord | None:
    """The record that an asset's row holds as *text*; None if it is of another form."""
    record = deserialize_value(text) if text else None
    return record if isinstance(record, EventLogRecord) else None


def _default_folder() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise DagsterModelsError(
            "PooledSqliteEventLogStorage does not know where the event log is: DAGSTER_HOME is"
            " not set. Set it, or set `base_dir` under `config` of `event_log_storage` in"
            " dagster.yaml."
        )
    return str(Path(home).expanduser() / "history" / "runs")
