"""The session of one step, which the user's code uses from any thread, and how it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from dagster_models.errors import DagsterModelsError, ErrorKind, WarehouseError, WarehouseLost

if TYPE_CHECKING:
    from dagster_models.processes.client.session import Session

T = TypeVar("T")

_OVER = "the code that was given this `warehouse` has returned"
_KEPT = (
    f"{_OVER}, and other code uses it, or a result of it that was not read before: that of another"
    " part of the partitions, or a check. Read the rows before the code returns"
    " (`.arrow()`, `.fetchall()`), or ask the `warehouse` that the other code is given"
)
_LEFT_BEHIND = (
    f"{_OVER}, and a thread that it has left behind uses it: wait for the thread (join) before the"
    " code returns"
)


class StepConnection:
    """One session, opened at first use, for one step at a time.

    Threads of the user's code take turns. An exception that is not the warehouse's own answer (e.g.
    a KeyboardInterrupt in the middle of a frame) leaves the session in an unknown state. So it is
    given up, and the next use opens another. ``close`` waits until those are over, too.
    """

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._session: Session | None = None
        self._given_up: list[Session] = []
        self._is_over = False
        self._turn = threading.RLock()
        self._thread = 0  # the ident of the thread whose turn it is, or 0
        self._pid = os.getpid()

    def use(self, do: Callable[[Session], T]) -> T:
        """Return what ``do`` returns for the session.

        Raises WarehouseError, WarehouseLost, Canceled.
        """
        if os.getpid() != self._pid:
            raise RuntimeError(
                "the warehouse cannot be used in a forked process; "
                "read the data before forking, or use threads"
            )
        with self._turn:
            self._thread = threading.get_ident()
            try:
                self._refuse_if_over()
                if self._session is None:
                    self._session = self._connect()
                    self._refuse_if_over()  # ``end`` looks for a session after it has said so
                return do(self._session)
            except BaseException as error:
                if not _answered(error):
                    self._give_up()
                raise
            finally:
                self._thread = 0

    def in_transaction(self) -> bool:
        """Whether the user's code has left a transaction open."""
        return self._session is not None and self.use(lambda session: session.in_transaction())

    def cancel(self, spare: int | None = None) -> None:
        """Stop the statement in flight, if any; may be called from any thread, and never waits.

        ``spare`` is the ident of a thread whose statement may go on.
        """
        session = self._session
        if session is not None and self._thread not in (0, spare):
            # If it was closed meanwhile, nothing is in flight on it.
            with suppress(OSError, ValueError, DagsterModelsError):
                session.cancel()

    def _give_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.hang_up()
            self._given_up.append(session)

    def close(self) -> None:
        """End the sessions; what they left open is rolled back. Wait until the warehouse process
        has ended them, with all that they were doing. A later use opens another."""
        session = self._session
        if session is not None:
            session.hang_up()  # a thread of the user's that waits for an answer gets it soon
        with self._turn:
            self._give_up()
            while self._given_up:
                self._given_up.pop().await_end()

    def refuse(self) -> None:
        """Refuse every later use, also by threads that wait for their turn."""
        self._is_over = True

    def end(self) -> None:
        """Close it, and refuse every later use."""
        self.refuse()
        self.close()

    def _refuse_if_over(self) -> None:
        if not self._is_over:
            return
        # The main thread runs the code of each part of a step, and of each check, in turn.
        kept = threading.current_thread() is threading.main_thread()
        raise WarehouseError(ErrorKind.SESSION_CLOSED, _KEPT if kept else _LEFT_BEHIND)

    def leave(self) -> None:
        """Refuse every later use of the session, which somebody else goes on with. Waits for a
        thread that still uses it."""
        with self._turn:
            self.refuse()
            self._session = None

    def fileno(self) -> int | None:
        """The session's descriptor, None when there is no session."""
        return None if self._session is None else self._session.fileno()


def _answered(error: BaseException) -> bool:
    return isinstance(error, WarehouseError) and not isinstance(error, WarehouseLost)
