"""Whoever wants a database file next: after a run it is free at once; before, it is waited for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from addresses import PROGRAM, duckdb_at, text_of
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes import handshake
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from running import make_project

HOLD = "import duckdb, sys\nc = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
LOCK = """
import fcntl, sys
file = open(sys.argv[1] + '.lock', 'w')
fcntl.flock(file, fcntl.LOCK_EX)
file.write(sys.argv[2])
file.flush()
print('open', flush=True)
input()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "w.duckdb")


@pytest.fixture
def address(path: str) -> WarehouseAddress:
    """As a project has it: with no idle seconds of its own."""
    return duckdb_at(path)


def rows_in(path: str) -> list[tuple[int]]:
    """What a notebook sees that opens the file now."""
    with duckdb.connect(path) as notebook:
        return notebook.execute("from t").fetchall()


def test_the_file_is_free_when_it_is_let_go(address: WarehouseAddress, path: str) -> None:
    for number in range(3):
        with connect(address) as session:
            session.execute(f"create or replace table t as select {number} as n")
        leave_all()
        assert rows_in(path) == [(number,)]


def test_a_program_lets_go_at_its_end(address: WarehouseAddress, path: str) -> None:
    program = PROGRAM + "connect(address).execute('create table t as select 1 as n')"
    subprocess.run([sys.executable, "-c", program, text_of(address)], check=True, timeout=60)
    assert rows_in(path) == [(1,)]


@pytest.mark.slow
def test_a_run_lets_go_at_its_end(tmp_path: Path) -> None:
    python = "def model(warehouse): return warehouse.table('t')\n"
    project = make_project(tmp_path, {"models/t.sql": "select 1 as n", "models/p.py": python})
    report = project.run()
    assert report.code == 0, report.stdout
    assert rows_in(str(project.database)) == [(1,)]


def test_those_who_still_use_it_go_on(address: WarehouseAddress, path: str) -> None:
    program = PROGRAM + (
        "session = connect(address); print(session.server_pid, flush=True); input()\n"
        "session.execute('create table t as select 1 as n')"
    )
    command = [sys.executable, "-c", program, text_of(address)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        pid = int(other.stdout.readline())
        with connect(address) as session:
            assert session.server_pid == pid
        leave_all()
        other.communicate("go on\n", timeout=60)
    assert other.returncode == 0
    assert rows_in(path) == [(1,)]


def test_idle_seconds_of_a_target_keep_the_process(path: str) -> None:
    address = duckdb_at(path, idle_seconds=60)
    with connect(address) as session:
        pid = session.server_pid
    leave_all()
    with connect(address) as session:
        assert session.server_pid == pid
        os.kill(pid, 15)


# Waiting for a file -------------------------------------------------------------------------------


@pytest.fixture
def holder(path: str, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A program that has the file open, until it reads a line."""
    code, *more = request.param
    command = [sys.executable, "-c", code, path, *more]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def listener(**fields: object) -> str:
    return json.dumps({"socket": "/nowhere/else/x.sock", "pid": 1, "host": "", "log": "", **fields})


NOTEBOOK = (HOLD,)
CONTAINER = (LOCK, listener(host="another-container"))
PRIVATE = (LOCK, listener())


@pytest.mark.parametrize("holder", [NOTEBOOK, CONTAINER, PRIVATE], indirect=True)
def test_a_file_is_waited_for(holder: subprocess.Popen[str], path: str) -> None:
    leaving = threading.Timer(0.5, lambda: holder.communicate("leave\n"))
    leaving.start()
    with connect(duckdb_at(path, idle_seconds=0.1, lock_timeout=30)) as session:
        assert session.query("select 1") == [(1,)]
    leaving.join()  # it reads a pipe, which the fixture closes


@pytest.mark.parametrize(
    ("holder", "message"),
    [
        (NOTEBOOK, "close the database there"),
        (CONTAINER, "on another machine or container, another-container .* let the runs there end"),
    ],
    indirect=["holder"],
)
def test_it_is_waited_for_as_long_as_lock_timeout_says(
    holder: subprocess.Popen[str], path: str, message: str
) -> None:
    for seconds in (0, 1):
        began = time.monotonic()
        with pytest.raises(WarehouseError, match=message) as caught:
            connect(duckdb_at(path, idle_seconds=0.1, lock_timeout=seconds))
        assert caught.value.kind is ErrorKind.IN_USE
        # Without it a client waits for 20 s.
        assert seconds <= time.monotonic() - began < 20


@pytest.mark.parametrize("holder", [PRIVATE], indirect=True)
def test_a_private_folder_for_temporary_files(holder: subprocess.Popen[str], path: str) -> None:
    with pytest.raises(WarehouseError, match="set TMPDIR or XDG_RUNTIME_DIR to the same") as caught:
        connect(duckdb_at(path), timeout_seconds=0.5)
    assert "/nowhere/else/x.sock does not exist here" in caught.value.message


# Users and folders --------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
NOBODY = 65534


SAY = """
import os
from dagster_models.errors import WarehouseError
os.setgroups([]), os.setgid(65534), os.setuid(65534)
try: print(connect(address).query('select 1'))
except WarehouseError as error: print(error)
"""


def as_nobody(address: WarehouseAddress, folder: Path) -> str:
    """What another user gets to read. (It has our interpreter open, which it may not start.)"""
    env = {**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": ""}
    command = [sys.executable, "-c", PROGRAM + SAY, text_of(address)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, cwd="/")
    return done.stdout + done.stderr


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder in which every user may write."""
    folder = Path("/tmp") / f"dagster-models-test-{os.getpid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_the_lock_of_another_user(shared: Path) -> None:
    address = duckdb_at(shared / "w.duckdb")
    with connect(address):
        said = as_nobody(address, shared)
    leave_all()
    for text in ("uid 65534", f"{shared}/w.duckdb.lock", "belongs to root (uid 0)", "run as root"):
        assert text in said


@needs_root
def test_the_process_of_another_user_is_waited_for(shared: Path) -> None:
    (shared / "w.duckdb.lock").touch()
    os.chown(shared / "w.duckdb.lock", NOBODY, NOBODY)  # nobody used it first, then root
    address = duckdb_at(shared / "w.duckdb", lock_timeout=0.5)
    with connect(address) as session:
        found = handshake.read_listener(session.path)
        assert found is not None
        said = as_nobody(address, shared)
    leave_all()
    for text in ("another user (root (uid 0)", os.path.dirname(found.socket), "run as that user"):
        assert text in said


@needs_root
def test_a_folder_of_another_user(shared: Path, tmp_path: Path) -> None:
    (shared / f"dagster-models-{NOBODY}").mkdir()
    said = as_nobody(duckdb_at(shared / "w.duckdb"), shared)
    for text in (f"{shared}/dagster-models-65534", "uid 65534", "root (uid 0)", "TMPDIR"):
        assert text in said
    assert "Traceback" not in said
    shared.chmod(0o755)
    shutil.rmtree(shared / f"dagster-models-{NOBODY}")
    said = as_nobody(duckdb_at(shared / "w.duckdb"), shared)
    for text in (f"cannot write in the folder {shared}", "uid 65534", "set TMPDIR"):
        assert text in said


@pytest.fixture
def small() -> Iterator[Path]:
    """A folder on a disk of 64 KB, whose path is short enough for a socket."""
    folder = Path("/tmp") / f"dagster-models-small-{os.getpid()}"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


@needs_root
def test_a_full_folder_for_temporary_files(
    small: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(small))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    fill = small / "fill"
    with open(fill, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    with pytest.raises(WarehouseError, match="set TMPDIR to a folder with room") as caught:
        connect(duckdb_at(path))
    assert str(small) in caught.value.message
    assert "root (uid 0)" in caught.value.message
    fill.unlink()
    with connect(duckdb_at(path)) as session:
        assert session.query("select 1") == [(1,)]
    leave_all()
