"""Emulators of two clouds' object stores for tests, on loopback: `azurite` from npm for az://, and
`gcp-storage-emulator` from PyPI for gs://."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from object_store import wait_for

#: The account that every azurite has, with the key that its documentation names.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "lakes"
_PACKAGES = {"az": ["adlfs"], "gs": ["gcsfs", "gcp_storage_emulator"]}


def why_no_cloud(scheme: str) -> str:
    """Why there is none to test with; "" if there is one."""
    missing = [name for name in _PACKAGES[scheme] if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: make test-nightly does it"
    if scheme == "az" and shutil.which("azurite-blob") is None:
        return "azurite-blob is not on the PATH: `npm install azurite` brings it"
    return ""


@contextlib.contextmanager
def started_cloud(scheme: str) -> Iterator[Mapping[str, str]]:
    """What the environment must say of a store of that kind, whose BUCKET is empty."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    if scheme == "az":
        command = ["azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        parts = {"DefaultEndpointsProtocol": "http", "AccountName": _ACCOUNT, "AccountKey": _KEY}
        parts["BlobEndpoint"] = f"{url}/{_ACCOUNT}"
        joined = ";".join(f"{name}={value}" for name, value in parts.items())
        environment = {"AZURE_STORAGE_CONNECTION_STRING": joined}
    else:
        program = Path(sys.executable).with_name("gcp-storage-emulator")
        command = [str(program), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
        environment = {"STORAGE_EMULATOR_HOST": url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
        try:
            wait_for(server, port)
            _make_bucket(scheme, url, environment)
            yield environment
        finally:
            server.kill()


def _make_bucket(scheme: str, url: str, environment: Mapping[str, str]) -> None:
    if scheme == "az":
        from azure.storage.blob import BlobServiceClient

        (connection,) = environment.values()
        with BlobServiceClient.from_connection_string(connection) as client:
            client.create_container(BUCKET)
        return
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project=p",
        data=json.dumps({"name": BUCKET}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request).close()
