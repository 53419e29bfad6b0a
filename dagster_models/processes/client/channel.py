"""A client's connection to the warehouse process: requests, answers, and how it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import wire
from dagster_models.processes.client import launch

ChannelT = TypeVar("ChannelT", bound="Channel")

_DRAIN_BYTES = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class SessionIdentity:
    """Names a session, also after its end. ``server_pid`` is the warehouse process that had it."""

    session_id: str
    server_pid: int


class Channel:
    """An open connection. Use it as a context manager, or close it.

    It carries one request at a time; only ``cancel`` and ``shutdown`` may be called from another
    thread meanwhile.
    """

    def __init__(self, sock: socket.socket, hello: Mapping[str, Any]) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self.session_id: str = hello["session"]
        self.server_pid: int = hello["pid"]
        self.path: str = hello["path"]  #: of the database file, real
        self.bulk_folders: list[str] = hello["bulk"]  #: private to this session, the best first
        self._log: str = hello["log"]
        self._broken_off = self._hung_up = False

    def __enter__(self: ChannelT) -> ChannelT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """For a selector: readable when an answer, or the end, is there."""
        return self._sock.fileno()

    @property
    def identity(self) -> SessionIdentity:
        return SessionIdentity(self.session_id, self.server_pid)

    @property
    def closed(self) -> bool:
        return self._hung_up or self._sock.fileno() < 0

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a request without waiting. Raises WarehouseLost if the process is gone."""
        self._refuse_if_closed()
        try:
            with self._sending:
                wire.send(self._sock, message)
        except OSError as error:
            raise self._lost() from error

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to a request.

        Raises WarehouseLost if the process is gone, or the session of the server that it held.
        """
        self._refuse_if_closed()
        try:
            answer = wire.receive(self._sock)
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if (answer.get("error") or {}).get("lost"):
            self.close()
            raise wire.error_from_json(answer["error"])
        return answer

    def request(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send, wait, and raise the error that the answer carries: WarehouseError or Canceled."""
        try:
            self.send(message)
            answer = self.receive()
        except WarehouseError:
            raise
        except BaseException:
            # After a KeyboardInterrupt, say, the answer would be taken for that of the next
            # request.
            self.hang_up()
            raise
        if "error" in answer:
            raise wire.error_from_json(answer["error"])
        return answer

    def cancel(self) -> None:
        """Ask to stop what runs; may be called from any thread.

        Only the answer to the request says whether it was stopped. It is harmless when nothing
        runs, and when the process is gone.
        """
        with contextlib.suppress(OSError), self._sending:
            wire.send(self._sock, {"op": "cancel"})

    def close(self) -> None:
        """End the session; what it has not committed is rolled back. It may be repeated."""
        with self._sending:
            self._sock.close()

    def hang_up(self) -> None:
        """Send nothing more: the warehouse process interrupts what runs, and ends the session.
        ``await_end`` sees its end. It may be repeated."""
        with contextlib.suppress(OSError), self._sending:
            self._hung_up = True
            self._sock.shutdown(socket.SHUT_WR)

    def await_end(self) -> None:
        """After ``hang_up``, wait until the warehouse process has ended the session: what it ran
        has ended, and what it had not committed is rolled back. Then close. No other thread may
        wait for an answer."""
        with contextlib.suppress(OSError):
            while self._sock.recv(_DRAIN_BYTES):
                pass
        self.close()

    def shutdown(self) -> None:
        """Break the connection as if the other side had done so.

        A thread or selector that waits for an answer sees the end, and the warehouse process
        interrupts and rolls back.
        """
        self._broken_off = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise WarehouseError(ErrorKind.SESSION_CLOSED, "this session is closed: connect again")

    def _lost(self) -> WarehouseLost:
        self.close()
        if self._broken_off:
            return WarehouseLost(ErrorKind.LOST, "it did not stop in time: its session was ended")
        return WarehouseLost(ErrorKind.LOST, launch.obituary(self.server_pid, self._log, self.path))
