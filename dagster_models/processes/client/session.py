"""A session with a warehouse process, from the client's side.

The run worker and the Python workers use it, so it imports no driver, no Dagster and no sqlglot,
and pyarrow only where bulk data is read or written. ``connect`` finds the warehouse process of a
database, or starts it.

A session is one connection, one cursor and one thread in the warehouse process, so it answers one
request at a time; only ``cancel`` may be called from another thread meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from dagster_models.core.built import Built
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Reading
from dagster_models.core.messages import Outcome
from dagster_models.core.model import Relation
from dagster_models.core.parts import record_count
from dagster_models.core.tasks import BuildTask, ChecksTask, PythonTask, task_to_json
from dagster_models.core.warehouse_address import SessionRequest, WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import handshake, wire
from dagster_models.processes.address import key_of
from dagster_models.processes.client import launch, leave
from dagster_models.processes.client.channel import Channel, SessionIdentity
from dagster_models.processes.client.holders import is_reachable, unreachable_holder
from dagster_models.util import arrow_files as bulk

RunCheck: TypeAlias = "Callable[[Session, Mapping[str, Any]], Mapping[str, Any]]"
"""Runs a Python function of a check in the middle of a task, whose transaction the session is in.
It is given the name of the check and, as SQL, the relation; see ``server.python_checks``."""

#: How often a client checks whether a process that is starting is listening yet.
_POLL_SECONDS = 0.01

#: The same for a file that another program has open.
_HELD_POLL_SECONDS = 0.1


def connect(
    address: WarehouseAddress,
    timeout_seconds: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> Session:
    """Open a session; start the warehouse process if nobody has.

    ``environ`` is the environment to connect with, by default this process's. Together with the
    settings it decides which database is reached and as which user, and sessions take their
    defaults from it.

    Raises WarehouseError: the database does not open, another version of this package serves it
    ("VersionMismatch"), nothing answered in time ("Timeout"; without ``timeout_seconds`` 20 s, or
    longer where the target's ``connect_seconds`` need it), or another program still holds the file
    after ``lock_timeout`` ("DatabaseInUse"): a notebook, a user, a container.
    """
    environ = dict(os.environ) if environ is None else environ
    path = key_of(address, environ)
    request = address.session_request(environ)
    patience_seconds = address.type.number(request.settings, "lock_timeout")
    if timeout_seconds is None:
        # A server is tried for that long, and the last try may take as long again.
        timeout_seconds = max(20.0, 2 * address.number("connect_seconds") + 5)
    else:
        patience_seconds = min(patience_seconds, timeout_seconds)
    began = time.monotonic()
    answered_by, free_by = began + timeout_seconds, began + patience_seconds
    with launch.Starter(address, path, environ) as starter:
        while True:
            try:
                session = _dial(request, path, max(answered_by, free_by))
            except WarehouseError as error:
                if error.name != ErrorKind.IN_USE.title or time.monotonic() > free_by:
                    raise
                time.sleep(_HELD_POLL_SECONDS)
                continue
            if session is not None:
                leave.note_session(path, address, session)
                return session
            holder = unreachable_holder(path) if address.type.file_setting else None
            now = time.monotonic()
            if holder is None:
                starter.ensure_started()
                if now > answered_by:
                    why = launch.why_no_answer(path, timeout_seconds)
                    raise WarehouseError(ErrorKind.TIMEOUT, why)
                time.sleep(_POLL_SECONDS)
                continue
            if now > (max(free_by, answered_by) if holder.leaving else free_by):
                raise holder.refusal(path, now - began)
            if not holder.leaving:  # when it has gone, ours needs its time to start
                answered_by = now + timeout_seconds
            time.sleep(_POLL_SECONDS if holder.leaving else _HELD_POLL_SECONDS)


def settle(
    address: WarehouseAddress,
    task: BuildTask | PythonTask,
    lost: SessionIdentity | None,
    wait_seconds: float = 10.0,
) -> bool:
    """Whether the attempt whose session was lost was committed, with all of its parts. The answer
    is final.

    If the warehouse process does not know (it hangs in the COMMIT of that session, or no longer
    answers), it is killed after the wait, because only its end settles the question. Its other
    sessions are lost too, and the next process reads the commit record. Raises WarehouseError if
    the record cannot be read.
    """
    session_id, path = lost.session_id if lost else "", key_of(address)
    # A process that has opened its file answers at once. Another one may still be opening its file,
    # or wait for a server: then a kill would only end its other sessions, which are healthy.
    is_file = bool(address.type.file_setting)
    had_it = is_file and lost is not None and launch.is_served_by(lost.server_pid, path)
    end = time.monotonic() + wait_seconds
    try:
        with connect(address, wait_seconds if had_it else None) as session:
            left = max(0.0, end - time.monotonic()) if had_it else wait_seconds
            return session.settle(task, session_id, left)
    except WarehouseError as error:
        if lost is None or error.kind not in (ErrorKind.IN_DOUBT, ErrorKind.TIMEOUT):
            raise
    launch.kill(lost.server_pid, path)
    with connect(address) as session:
        return session.settle(task, session_id, wait_seconds)


def _dial(request: SessionRequest, path: str, deadline: float) -> Session | None:
    """Return a session with the listening process; None if there is no such process, or it is about
    to exit."""
    try:
        listener = handshake.read_listener(path)
    except PermissionError:
        return None  # unreachable_holder says whose it is
    if listener is None or not is_reachable(listener):
        return None
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        sock.connect(listener.socket)
        hello = {"op": "hello", "request": request.to_json(), **handshake.greeting(path)}
        wire.send(sock, hello)
        answer = wire.receive(sock)
        sock.settimeout(None)
    except (OSError, EOFError):
        sock.close()  # nobody is there, or it is too slow: the caller's deadline decides
        return None
    except BaseException:
        sock.close()
        raise
    if "error" in answer:
        sock.close()
        raise wire.error_from_json(answer["error"])
    return Session(sock, answer["hello"])


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    if "error" in answer:
        raise wire.error_from_json(answer["error"])
    return Outcome.from_json(answer["outcome"])


class Session(Channel):
    """An open session. Closing it rolls back what it has not committed, and frees it."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a small query (at most wire.MAX_FRAME bytes); export takes more."""
        return wire.decode_rows(self.request({"op": "query", "sql": sql})["rows"])

    def execute(self, sql: str) -> None:
        """Run statements for their effect."""
        self.request({"op": "execute", "sql": sql})

    def in_transaction(self) -> bool:
        """Whether a transaction is open that was begun explicitly."""
        return bool(self.request({"op": "in_transaction"})["in_transaction"])

    def begin(self, reading: bool = False) -> None:
        """Begin a transaction. With *reading* it is one in which the database refuses writes."""
        self.request({"op": "begin", "reading": reading})

    def commit(self) -> None:
        """Commit.

        Raises WarehouseError if a statement of the transaction failed. Then the whole transaction
        is rolled back.
        """
        self.request({"op": "commit"})

    def rollback(self) -> None:
        self.request({"op": "rollback"})

    def export(self, sql: str) -> Any:
        """Return a query's result as a memory-mapped pyarrow.Table, which owns that memory."""
        path = self.request({"op": "export", "sql": sql})["path"]
        try:
            return bulk.read(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def write_bulk(self, data: Any) -> str:
        """Write a pyarrow Table, or a stream of record batches with a schema, to a file of this
        session; return its path. A stream is written to disk, as its size is not known."""
        if hasattr(data, "to_batches"):
            return bulk.write(self.bulk_folders, data.schema, data.to_batches())[0]
        return bulk.write(self.bulk_folders[::-1], data.schema, data)[0]

    @property
    def lasting_folders(self) -> list[str]:
        """The folders for files that outlive this session, those on disk first. What is left there
        is deleted when the warehouse process ends."""
        return bulk.lasting_folders(self.bulk_folders)

    def bulk_path(self) -> str:
        """Return a path for a new file in the best bulk folder. The file is deleted when the
        session ends, at the latest.

        Prefer write_bulk: it moves on to the next folder when this one is full.
        """
        return os.path.join(self.bulk_folders[0], f"{os.urandom(8).hex()}.arrow")

    def load(self, data: Any, relation: Relation | str, mode: str = "replace") -> int:
        """Write a pyarrow Table or RecordBatchReader to a table; return the number of rows.

        ``relation``: a str is SQL, i.e. a name that is quoted where necessary. ``mode``: "replace"
        or "append" (columns are matched by name).
        """
        return self.load_file(self.write_bulk(data), relation, mode)

    def load_file(self, path: str, relation: Relation | str, mode: str = "replace") -> int:
        """As ``load``, of an Arrow IPC file in a bulk folder, which is deleted."""
        name = relation if isinstance(relation, str) else dataclasses.asdict(relation)
        try:
            message = {"op": "import", "path": path, "relation": name, "mode": mode}
            return int(self.request(message)["rows"])
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def run(self, task: BuildTask | ChecksTask, check: RunCheck | None = None) -> Outcome:
        """Build and publish one relation, or run checks on it; *check* runs those that are Python
        functions.

        Raises WarehouseLost, and closes the session, if no outcome arrived. Then only the commit
        record can say what became of the task.
        """
        try:
            self.send({"op": "task", "task": task_to_json(task)})
            answer = self.receive()
            while check is not None and "ask" in answer:
                self.send({"op": "found", **check(self, answer["ask"])})
                answer = self.receive()
            return _outcome(answer)
        except BaseException as error:
            self.hang_up()
            if isinstance(error, WarehouseLost) or not isinstance(error, Exception):
                raise
            raise WarehouseLost(ErrorKind.LOST, f"no outcome was received: {error}") from error

    def read_before(self, task: BuildTask) -> Reading | None:
        """What a Python model must know before it makes the rows of the task's content; None for
        a model that returns all rows of its table."""
        reading = self.request({"op": "read_before", "task": task_to_json(task)})["reading"]
        return Reading.from_json(reading) if reading else None

    def open_build(self, task: BuildTask) -> Reading:
        """Begin the transaction in which this session builds the task's relation, before it runs
        the task; ``seen`` of what it returns says what is there."""
        answer = self.request({"op": "open_build", "task": task_to_json(task)})
        return Reading(**answer["reading"])

    def receive_outcome(self) -> Outcome:
        """Wait for the answer to a task. Raises WarehouseError if there is none: then it is unknown
        whether the task was published."""
        return _outcome(self.receive())

    def prepare(self, schemas: Sequence[str]) -> None:
        """Create schemas and the commit record table where missing."""
        self.request({"op": "prepare", "schemas": list(schemas)})

    def last_proofs(self, relations: Iterable[Relation]) -> list[Commit]:
        """Return the last commit record of each of these relations that has one."""
        asked = [dataclasses.asdict(relation) for relation in relations]
        found = self.request({"op": "last_proofs", "relations": asked})["proofs"]
        return [Commit(**commit) for commit in found]

    def ledger(self, relation: Relation) -> list[Commit]:
        """Return the commit records of a relation, the first one first, from the last one on that
        replaced all of it."""
        asked = {"op": "ledger", "relation": dataclasses.asdict(relation)}
        return [Commit(**commit) for commit in self.request(asked)["proofs"]]

    def built_by(self, builder: str, names: Collection[str] | None = None) -> list[Built]:
        """Return the relations that are there and that this builder was the last to publish: all,
        or those with these names."""
        asked = {"op": "built_by", "builder": builder, "names": None if names is None else [*names]}
        return [Built.from_json(built) for built in self.request(asked)["built"]]

    def there(self, relations: Iterable[Relation]) -> list[Relation]:
        """Return those of these relations that exist."""
        asked = [dataclasses.asdict(relation) for relation in relations]
        found = self.request({"op": "there", "relations": asked})["there"]
        return [Relation(**relation) for relation in found]

    def fingerprint(self, relation: Relation) -> str:
        """Return a text that another content of the relation would not have."""
        asked = {"op": "fingerprint", "relation": dataclasses.asdict(relation)}
        return str(self.request(asked)["fingerprint"])

    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        """Return those of these functions that may return something else each time, each with the
        reason."""
        asked = {"op": "unrepeatable", "functions": sorted(functions)}
        return dict(self.request(asked)["reasons"])

    def drop(self, relation: Relation, builder: str) -> None:
        """Drop a relation of ``built_by``. Raises WarehouseError if it is to be kept."""
        asked = dataclasses.asdict(relation)
        self.request({"op": "drop", "relation": asked, "builder": builder})

    def settle(
        self, task: BuildTask | PythonTask, session_id: str = "", wait_seconds: float = 10.0
    ) -> bool:
        """Whether the attempt whose session was lost was committed, with all of its parts: its
        commit records say so.

        ``session_id`` names the lost session, whose end is awaited. False is final: the session is
        gone, so nothing can publish the attempt any more. Raises WarehouseError (kind IN_DOUBT) if
        there is no commit record and the session is still running after ``wait_seconds``.
        """
        answer = self.request(
            {
                "op": "settle",
                "attempt": list(task.id),
                "relation": dataclasses.asdict(task.relation),
                "session": session_id,
                "records": record_count(task),
                "wait_seconds": wait_seconds,
            }
        )
        if not answer["committed"] and answer["session_alive"]:
            raise WarehouseError(
                ErrorKind.IN_DOUBT,
                f"{task.step} has no commit record, but its session {session_id} in the warehouse"
                f" process {self.server_pid} is still running after {wait_seconds:g} s and may yet"
                " commit",
            )
        return bool(answer["committed"])
