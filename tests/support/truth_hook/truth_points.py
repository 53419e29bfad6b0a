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


#: Method of a session -> the point that is reached before it, and the one after it.
POINTS = {
    "begin": ("", "begun"),
    "columns": ("built", ""),
    "write_record": ("", "recorded"),
    "commit": ("", "committed"),
}


def watch_the_warehouse() -> None:
    """Points of the warehouse process: before and after the build, around the COMMIT."""
    from dagster_models.processes.server import attempt as attempts

    run = attempts.run

    def watched(session, name, step):
        method, (before, after) = getattr(session, name), POINTS[name]

        def call(*arguments):
            if before:
                reach(before, step, session)
            result = method(*arguments)
            if after:
                reach(after, step, session)
            return result

        return call

    def watched_run(session, task, *more):
        for name in POINTS:
            setattr(session, name, watched(session, name, task.step))
        try:
            return run(session, task, *more)
        finally:
            for name in POINTS:
                delattr(session, name)

    attempts.run = watched_run


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
