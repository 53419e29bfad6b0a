"""One Spark session of a Connect server, which all sessions of an open warehouse share.

Its id is made of the target's settings. So a process that takes over where another one was killed
finds the statements that are still running, by the tags that our sessions give them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import logging
import re
import uuid
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote as percent_encoded

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.errors import convert
from dagster_models.warehouses.spark.target import SPARK

_IDS = uuid.UUID("6f1b1f0e-15a5-4c5e-9b0a-5a7c7d0e0f15")
#: What servers say of a session that has ended.
_IS_OVER = re.compile(r"session \S+ is not running|SESSION_(CLOSED|NOT_FOUND|CHANGED)")
#: A session of the server that is gone, or new, has no value of this key.
_KNOWN = "spark.dagster_models.session"
_FIRST_WAIT_MILLISECONDS, _LONGEST_WAIT_MILLISECONDS = 50, 1000


class Server:
    """Raises WarehouseError for whatever the server refuses."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # Each error would be printed as a line of JSON, too.
        logging.getLogger("SQLQueryContextLogger").disabled = True
        logging.getLogger("DataFrameQueryContextLogger").disabled = True
        self._place = f"{settings.get('host') or 'localhost'}:{settings.get('port') or 15002}"
        self._settings = settings
        self._spark = self._session(0)
        self._number = 0

    def is_known(self) -> bool:
        """Whether the server still has the session that ``know`` was called for. One that was idle
        for long is gone, and its id is not taken again: then the next one is begun."""
        while True:
            try:
                with self._translated("", 0):
                    return self._spark.conf.get(_KNOWN, None) is not None
            except WarehouseError as error:
                if not _IS_OVER.search(error.message):
                    raise
                self._number += 1
                over, self._spark = self._spark, self._session(self._number)
                with contextlib.suppress(Exception):
                    over.client.close()  # its channel: nobody else has it

    def _session(self, number: int) -> Any:
        with warnings.catch_warnings():
            # It warns of pandas 3, and rows cross here as Arrow tables only.
            warnings.simplefilter("ignore")
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession

        with self._translated("", 0):
            spark = SparkSession(_connection(self._place, self._settings, number))
        policy = DefaultPolicy(
            # The first five waits take a second together.
            max_retries=max(1, round(SPARK.number(self._settings, "connect_seconds")) + 4),
            initial_backoff=_FIRST_WAIT_MILLISECONDS,
            max_backoff=_LONGEST_WAIT_MILLISECONDS,
            jitter=0,
        )
        spark.client.set_retry_policies([policy])
        return spark

    @property
    def _client(self) -> Any:
        return self._spark.client

    def know(self) -> None:
        with self._translated("", 0):
            self._spark.conf.set("spark.sql.session.timeZone", "UTC")
            self._spark.conf.set("spark.sql.ansi.enabled", "true")
            self._spark.conf.set(_KNOWN, "1")

    def run(self, sql: str, tag: str = "", lines_before: int = 0) -> Any:
        """The result of one statement, as an Arrow table."""
        with self._translated(sql, lines_before), self._tagged(tag):
            return self._spark.sql(sql).toArrow()

    def command(self, sql: str, tag: str = "", lines_before: int = 0) -> None:
        """Run a statement that is no query, whose answer says nothing."""
        with self._translated(sql, lines_before), self._tagged(tag):
            self._spark.sql(sql)

    def columns(self, sql: str, tag: str = "", lines_before: int = 0) -> list[tuple[str, str]]:
        """(name, type) of each column of a query, which is not run."""
        with self._translated(sql, lines_before), self._tagged(tag):
            fields = self._spark.sql(sql).schema.fields
            return [(it.name, it.dataType.simpleString()) for it in fields]

    def interrupt(self, tag: str) -> int:
        """Stop what runs under a tag; how many statements there were."""
        with self._translated("", 0):
            return len(self._client.interrupt_tag(tag))

    def close(self) -> None:
        # Not ``stop``: others may share the session, which the server forgets by itself.
        with contextlib.suppress(Exception):
            self._client.close()

    @contextlib.contextmanager
    def _tagged(self, tag: str) -> Iterator[None]:
        """Tags belong to the thread that sends the statement."""
        if tag:
            self._client.add_tag(tag)
        try:
            yield
        finally:
            if tag:
                self._client.remove_tag(tag)

    @contextlib.contextmanager
    def _translated(self, sql: str, lines_before: int) -> Iterator[None]:
        try:
            yield
        except (WarehouseError, ImportError):
            raise
        except Exception as error:
            ours = convert(error, sql, lines_before)
            if ours.kind is ErrorKind.UNREACHABLE:
                ours = WarehouseError(
                    ours.kind,
                    f"the Spark Connect server at {self._place} cannot be reached: {ours.message}",
                    name=ours.name,
                    transient=True,
                )
            raise ours from error


def _connection(place: str, settings: Mapping[str, Any], number: int) -> str:
    """``number``: how many sessions of today the server has forgotten already."""
    user = settings.get("user") or getpass.getuser()
    today = dt.date.today().isoformat()  # else they would become more and more
    identity = {name: str(settings[name]) for name in sorted(settings) if name in _IDENTITY}
    session_id = uuid.uuid5(_IDS, json.dumps([user, place, identity, today, number]))
    parts = [f"user_id={percent_encoded(user, safe='')}", f"session_id={session_id}"]
    if settings.get("token"):
        parts.append(f"token={percent_encoded(str(settings['token']), safe='')}")
    return f"sc://{place}/;{';'.join(parts)}"


_IDENTITY = frozenset({"location", "format", "catalog", "catalog_name", "catalog_warehouse"})
