"""A MariaDB server for tests: real, on a Unix socket in a temporary folder, stopped afterwards.

Its program comes from Debian's package `mariadb-server-core`, which starts no service. A guard, a
process of its own, stops it and removes its folder when the test run ends, also by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_START_SECONDS = 30
_GUARD = 'read -r _; kill -KILL "$1" 2> /dev/null; rm -rf "$2"'
_OWN = ("mysql", "sys", "performance_schema", "information_schema")
#: Where Debian's package has the texts that make the system's own tables.
_TEXTS = Path("/usr/share/mysql")
_SYSTEM = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")
_OPTIONS = (
    *("--no-defaults", "--skip-networking", "--innodb-buffer-pool-size=32M"),
    *("--innodb-log-file-size=16M", "--performance-schema=OFF", "--skip-name-resolve"),
    *("--innodb-flush-log-at-trx-commit=2", "--max-connections=60", "--skip-slave-start"),
)


def program() -> str | None:
    """The server's program, None where there is none."""
    given = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/libexec"))
    return shutil.which("mariadbd", path=given)


def why_no_mariadb() -> str:
    """Why there is no server to test with; "" if there is one."""
    if program() is None or not (_TEXTS / f"{_SYSTEM[0]}.sql").is_file():
        return "no mariadbd found: apt-get install mariadb-server-core"
    return "" if find_spec("pymysql") else "PyMySQL not installed: `make setup` does it"


@dataclass
class MariaServer:
    folder: str
    options: tuple[str, ...]
    process: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return f"{self.folder}/s"

    @property
    def settings(self) -> dict[str, Any]:
        return {"socket": self.socket, "user": "root", "connect_seconds": 5}

    def connect(self) -> Any:
        """A connection of somebody else's."""
        import pymysql

        return pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def empty(self) -> None:
        """Drop every database but the server's own."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_wait_timeout = 20")
            cursor.execute("SHOW DATABASES")
            for (name,) in cursor.fetchall():
                if name not in _OWN:
                    cursor.execute("DROP DATABASE `" + name.replace("`", "``") + "`")

    def kill(self) -> None:
        """As a machine that loses its power; ``restart`` brings it back."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        old = self.guard
        self.process, self.guard = _started(self.folder, self.options)
        old.kill()  # else it would remove the folder
        with old:
            pass

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.guard.communicate(b"\n")


def left_on(server: MariaServer) -> list[str]:
    """What is ours on the server, beside the records, and beside what was published."""
    rows = server.rows(
        "select concat(table_schema, '.', table_name) from information_schema.tables"
        " where (table_schema like 'dagster\\_models%' or table_name like 'dagster\\_models%')"
        " and concat(table_schema, '.', table_name) <> 'dagster_models.commits'"
        " union all select schema_name from information_schema.schemata"
        " where schema_name like 'dagster\\_models\\_stage%'"
    )
    return sorted(name for (name,) in rows)


def start_mariadb(*options: str) -> MariaServer:
    folder = tempfile.mkdtemp(prefix="dagster-models-maria-")
    Path(folder, "data").mkdir()
    texts = [(_TEXTS / f"{name}.sql").read_text(encoding="utf-8") for name in _SYSTEM]
    first = "create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n"
    done = subprocess.run(
        [*_command(folder, options), "--bootstrap"],
        input=(first + "".join(texts)).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return MariaServer(folder, options, *_started(folder, options))


def _command(folder: str, options: tuple[str, ...]) -> list[str]:
    user = ("--user=root",) if os.geteuid() == 0 else ()
    place = (f"--datadir={folder}/data", f"--socket={folder}/s", f"--tmpdir={folder}")
    return [program() or "mariadbd", *_OPTIONS, *place, f"--pid-file={folder}/pid", *user, *options]


def _started(
    folder: str, options: tuple[str, ...]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    import pymysql

    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/s")  # of a server that was killed
    log = os.path.join(folder, "log")
    with open(log, "ab") as output:
        process = subprocess.Popen(
            _command(folder, options),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Tests find processes by what stands in their environment: it is none of them.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            start_new_session=True,
        )
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "guard", str(process.pid), folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(pymysql.MySQLError, OSError):
            with socket.socket(socket.AF_UNIX) as found:  # the driver would leave it open
                found.connect(f"{folder}/s")
            pymysql.connect(unix_socket=f"{folder}/s", user="root").close()
            return process, guard
        time.sleep(0.02)
    raise RuntimeError(f"MariaDB did not start: {Path(log).read_text()}")
