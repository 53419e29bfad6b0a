"""The tests' own PostgreSQL server: for root and for others, and never left behind."""

from __future__ import annotations

import os
import pwd
import select
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from paths import SUPPORT
from postgres_server import start_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="waits for the end of others' processes"),
]

TEST_RUN = """
import signal, sys
sys.path.insert(0, {tests!r})
from postgres_server import start_server
server = start_server()
print(server.process.pid, server.guard.pid, server.folder, server.dsn, flush=True)
signal.pause()
"""


def wait_for_end(process: int) -> None:
    ready, _, _ = select.select([process], [], [], 30)
    os.close(process)
    assert ready, "it is left behind"


def may_be_read_by(user: str) -> bool:
    """Whether the interpreter and the tests are open to them: not where they lie below /root."""
    wanted = [sys.executable, "-c", f"import psycopg; open({__file__!r})"]
    done = subprocess.run(wanted, user=user, group=user_group(user), capture_output=True)
    return done.returncode == 0


def user_group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_test_run_that_is_killed_leaves_no_server(user: str, tmp_path: Path) -> None:
    """As who runs the tests, and, if that is root, as somebody else."""
    more: dict[str, object] = {}
    if user:
        if os.geteuid() != 0:
            pytest.skip("only root can be somebody else")
        try:
            readable = may_be_read_by(user)
        except OSError:
            readable = False
        if not readable:
            pytest.skip(f"{user} may not read {sys.executable} or the tests")
        more = {"user": user, "group": user_group(user), "extra_groups": [], "cwd": "/"}
    program = TEST_RUN.format(tests=str(SUPPORT))
    environment = {key: value for key, value in os.environ.items() if key != "TMPDIR"}
    run = subprocess.Popen(  # type: ignore[call-overload]
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        **more,
    )
    assert run.stdout is not None
    with run.stdout:
        told = run.stdout.readline().split()
        assert len(told) == 4, "it did not start"
        server, guard, folder, dsn = int(told[0]), int(told[1]), Path(told[2]), told[3]
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert os.stat(f"/proc/{server}").st_uid != 0
        processes = [os.pidfd_open(pid) for pid in (server, guard)]
        run.kill()
        run.wait()
    for process in processes:
        wait_for_end(process)
    assert not folder.exists()


def test_a_server_that_is_stopped_is_gone() -> None:
    server = start_server()
    process = server.process
    assert process is not None
    server.stop()
    assert process.returncode is not None
    assert not server.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn, connect_timeout=2)
