"""An object store for tests: moto's server, which speaks S3, on loopback."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from xml.etree import ElementTree

from dagster_models.warehouses.ducklake import extensions

_START_SECONDS = 60
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def why_no_store() -> str:
    """Why there is no store to test with; "" if there is one."""
    missing = [name for name in ("moto", "flask", "flask_cors") if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: make test-nightly does it"
    if extensions.packaged("httpfs") is None:
        return "DuckDB's extension httpfs is not installed for this version of DuckDB"
    return ""


@dataclass(frozen=True)
class ObjectStore:
    """``bucket`` is empty at the beginning."""

    port: int
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """What DuckDB's extension reads."""
        return {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "DUCKDB_S3_ENDPOINT": f"localhost:{self.port}",
            "DUCKDB_S3_USE_SSL": "false",
        }

    def objects(self) -> list[str]:
        url = f"http://127.0.0.1:{self.port}/{self.bucket}?list-type=2"
        with urllib.request.urlopen(url) as answer:
            found = ElementTree.fromstring(answer.read())
        return sorted(it.text or "" for it in found.iter(f"{_NAMESPACE}Key"))


@contextlib.contextmanager
def started_store() -> Iterator[ObjectStore]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(server, port)
            make = urllib.request.Request(f"http://127.0.0.1:{port}/lakes", method="PUT")
            with urllib.request.urlopen(make):
                yield ObjectStore(port, "lakes")
        finally:
            server.kill()


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < end
            time.sleep(0.05)
