"""Moments that a test of the truth wants to know of, in whatever process of a run they come.

``reach`` tells the test that a process has come to a point of a step, and waits until it may go on:
meanwhile the test may kill this process or another one, or ask the run to stop. The folder of this
file is on the PYTHONPATH of such runs; the product knows nothing of it.
"""

import os
import socket

ADDRESS = "DAGSTER_MODELS_TRUTH_POINTS"


def reach(point: str, step: str, session=None) -> None:
    """Tell the test, and wait for its word; of a server's session, which process serves it."""
    connection = getattr(session, "_connection", None)
    backend = connection.info.backend_pid if hasattr(connection, "info") else 0
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(os.environ[ADDRESS])
            sock.sendall(f"{os.getpid()} {point} {step} {backend}\n".encode())
            sock.recv(1)
        except OSError:
            return  # the test is over, or has died


class Told:
    """A warehouse session that tells of the moments around a commit record and its COMMIT."""

    def __init__(self, session, step):
        self._session, self._step = session, step

    def __getattr__(self, name):
        return getattr(self._session, name)

    def write_record(self, commit):
        self._session.write_record(commit)
        reach("recorded", self._step, self._session)

    def commit(self):
        self._session.commit()
        reach("committed", self._step, self._session)


def watch_the_warehouse() -> None:
    """Points of the warehouse process: before and after the build, around the COMMIT."""
    from dagster_models.processes.server import attempt as materialization

    create, publish = materialization._create, materialization._publish

    def told_create(session, task, *rest):
        reach("begun", task.step, session)
        rows = create(session, task, *rest)
        reach("built", task.step, session)
        return rows

    def told_publish(session, task, *rest):
        return publish(Told(session, task.step), task, *rest)

    materialization._create, materialization._publish = told_create, told_publish


def watch_the_journal() -> None:
    """A point of the run worker: after a step's line in the journal, before Dagster's events.

    Not of skips: they are told many at once, in a transaction that keeps others out meanwhile.
    """
    from dagster_models.reporting.journal import Journal

    write = Journal.step

    def told_step(self, result):
        write(self, result)
        if result.state != "skipped":
            reach("journaled", result.step)

    Journal.step = told_step
