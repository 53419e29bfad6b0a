"""The database as this process has it open, for the sessions of all clients."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from dagster_models.core.target_types import TargetType
from dagster_models.core.warehouse_address import SessionRequest, WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Capabilities, OpenWarehouse, WarehouseSession

#: How long a client waits for the last sessions to end before a database is reopened.
_LEAVING_SECONDS = 0.5

_PREPARE_TRIES = 3
_RETRY_SECONDS = 0.02

Difference: TypeAlias = tuple[str, str, str]
"""A setting, its value in the open database, and the value that a client asks for."""


class SharedDatabase:
    """Opens the database for the first session, and reopens it where that is needed and possible.

    ``await_gone(name, seconds)`` waits for the end of a session and says whether it came.
    """

    def __init__(
        self, address: WarehouseAddress, path: str, await_gone: Callable[[str, float], bool]
    ) -> None:
        self._address, self._path, self._await_gone = address, path, await_gone
        self._connect = _driver(address.type).connect
        self._open: OpenWarehouse | None = None
        self._sessions: set[str] = set()
        self._shared: dict[str, Any] = {}  # the settings with which it is open
        self._opening = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared: set[str] = set()

    @property
    def capabilities(self) -> Capabilities:
        assert self._open is not None
        return self._open.capabilities

    def session(
        self, name: str, request: SessionRequest, given_up: Callable[[], bool]
    ) -> WarehouseSession:
        """A session, which a server shows under ``name``. Raises WarehouseError.

        ``given_up`` says whether the client is gone, while a server keeps us waiting.

        If the database failed to open, the next client tries again: its user may have fixed it.
        """
        shared = self._address.type.in_scope(request.settings, "process")
        try:
            with self._opening:
                database = self._opened(shared)
                self._sessions.add(name)  # from now on nobody else closes it
                if database.capabilities.shared_fate:
                    return database.session(name, request)
            # Outside of the lock: a server may keep this client waiting, not the others.
            return database.session(name, request, given_up)
        except BaseException:
            self.forget(name)
            raise

    def forget(self, name: str) -> None:
        """Note that a session has ended. Harmless for one that never was."""
        self._sessions.discard(name)

    def prepare(self, session: WarehouseSession, schemas: Sequence[str], anew: bool) -> None:
        """Create schemas one session at a time: two at once would conflict."""
        with self._preparing:
            if not anew and self._prepared.issuperset(schemas) and self._prepared:
                return
            for left in reversed(range(_PREPARE_TRIES)):
                try:
                    session.prepare(schemas)
                    break
                except WarehouseError as error:  # a script's own transaction may be in the way
                    if not (left and error.kind is ErrorKind.CONFLICT):
                        raise
                    time.sleep(_RETRY_SECONDS)
            self._prepared.update(schemas)

    def close(self) -> None:
        """Close the database. Only after every session is closed."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _opened(self, shared: dict[str, Any]) -> OpenWarehouse:
        """The database, open with these settings for all of its sessions.

        Raises WarehouseError if it would have to be reopened while other sessions use it.
        """
        if self._open is not None and self._open.is_replaced():
            self._leave(self._replaced)
        differences = _differences(self._shared, shared)
        if self._open is not None and differences:
            self._leave(lambda busy: self._set_otherwise(busy, differences))
        if self._open is None:
            own = self._address.type.in_scope(self._address.settings, "place", "session")
            self._open = self._connect({**own, **shared})
            self._prepared, self._shared = set(), shared
        return self._open

    def _leave(self, refusal: Callable[[int], WarehouseError]) -> None:
        """Close the database. Raises the refusal if sessions still use it after a short while."""
        end = time.monotonic() + _LEAVING_SECONDS
        for name in list(self._sessions):
            if self._await_gone(name, max(0.0, end - time.monotonic())):
                self.forget(name)
        if self._sessions:
            raise refusal(len(self._sessions))
        self.close()

    def _replaced(self, busy: int) -> WarehouseError:
        return WarehouseError(
            ErrorKind.REPLACED,
            f"{self._path} was removed or replaced while {busy} sessions have the old file open in"
            f" the warehouse process {os.getpid()}: end those runs, or kill that process",
        )

    def _set_otherwise(self, busy: int, differences: Sequence[Difference]) -> WarehouseError:
        listed = ", ".join(
            f"{name} is {there} there and {here} here" for name, there, here in differences
        )
        return WarehouseError(
            ErrorKind.IN_USE,
            f"{self._path} is open with other settings in the warehouse process {os.getpid()}"
            f" (sessions: {busy}): {listed}. All sessions of a file share these settings: use the"
            " same ones everywhere, or wait until those sessions have ended",
            name="SettingsDiffer",
        )


def _driver(type_: TargetType) -> Any:
    """The module of a type of warehouse. Raises WarehouseError if its driver is not installed."""
    try:
        return importlib.import_module(type_.module)
    except ModuleNotFoundError as error:
        install = f"pip install 'dagster-models[{type_.extra}]'" if type_.extra else "see its page"
        raise WarehouseError(
            ErrorKind.START_FAILED,
            f"type {type_}: its driver is not installed ({error}). Install it: {install}",
        ) from error


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    """Each setting that differs, with both values; 4GB and "4 gb" are the same."""
    return [
        (name, str(there.get(name, "not set")), str(here.get(name, "not set")))
        for name in sorted({*there, *here})
        if _spelled(there.get(name)) != _spelled(here.get(name))
    ]


def _spelled(value: Any) -> str:
    return "".join(str(value).casefold().split())
