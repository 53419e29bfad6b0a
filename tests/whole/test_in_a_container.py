"""What a container has, as far as a machine without Docker can have it.

It is the image that the Dockerfile of docs/deployment.md makes, in namespaces of its own, as
process 1, with a random user, a root that is read-only, 64 MB of /dev/shm, and nothing writable but
what the page names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.server import wait_for_grpc_server

from namespaces import needs_namespaces
from pages import Page
from paths import REPOSITORY

DOCKERFILE = Page.of("deployment.md").block("dockerfile")
#: Where the image is in the namespace of a container. Nothing else has a folder of this path.
AT = "/mnt"
USER = 1234567  # as OpenShift gives one; the group is 0 there, too
GRACE_SECONDS = 30  # half of what the page asks Docker and Kubernetes for

#: Sent to the shell as process 1: what a container's runtime does before it starts the command.
ENTER = f"""
set -e
mount --make-rprivate /
base="$1"; image="$2"; shift 2
mkdir -p "$image/python"; mount --bind "$base" "$image/python"
mount --bind "$image" {AT}; mount --bind "$image/python" {AT}/python
top="/$(echo "$base" | cut -d/ -f2)"
if [ "$top" = /root ]; then  # nobody else may look into it
  mount -t tmpfs -o mode=755 tmpfs /root; mkdir -p "$base"; mount --bind {AT}/python "$base"
fi
mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm
"""
SEALED = f"""
mount --bind {AT}/volumes/target {AT}/app/target; mount --bind {AT}/volumes/home {AT}/home
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro {AT}; mount -o remount,bind,ro /
cd {AT}/app
exec setpriv --reuid {USER} --regid 0 --clear-groups --inh-caps=-all -- "$@"
"""

PROJECT = {
    "dagster_models.yaml": "name: box\nmodels: {materialized: table}\njobs: {all: {}}\n",
    "definitions.py": "from pathlib import Path\nfrom dagster_models import load_project\n"
    "defs = load_project(Path(__file__).parent)\n",
    "models/small.sql": "select 7 as n",
    # Larger than /dev/shm.
    "models/large.py": "def model(warehouse):\n    import pyarrow as pa\n"
    "    return pa.table({'t': ['x' * 1000] * 150_000})\n",
    "models/slow.sql": "select sum(i) as n from range((select n from 'rows.csv')) t(i)",
}


pytestmark = [
    pytest.mark.nightly,
    needs_namespaces,
]


def command_of(image: Path, script: str, *command: str) -> list[str]:
    shell = ["bash", "-c", ENTER + script, "container", sys.base_prefix, str(image), *command]
    return ["unshare", "--mount", "--pid", "--fork", "--mount-proc", *shell]


def environment(**others: str) -> Mapping[str, str]:
    """Nothing of this process's own."""
    path = f"{AT}/venv/bin:/usr/bin:/bin"
    return {"PATH": path, "DAGSTER_HOME": f"{AT}/home", "HOME": "/", **others}


def start(image: Path, *command: str, **others: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_of(image, SEALED, *command),
        env=environment(**others),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The steps of the Dockerfile, in an empty folder."""
    image = tmp_path_factory.mktemp("image")
    image.chmod(0o755)
    for name in ("app/target", "home", "volumes/target", "volumes/home"):
        (image / name).mkdir(parents=True)
    for path, text in PROJECT.items():
        (image / "app" / path).parent.mkdir(exist_ok=True)
        (image / "app" / path).write_text(text)
    (image / "app" / "rows.csv").write_text("n\n5\n")
    (image / "volumes" / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    for folder in (image / "volumes").iterdir():
        os.chown(folder, USER, 0)
    steps = re.findall(r"^RUN (.*)$", DOCKERFILE, re.MULTILINE)
    assert len(steps) == 2
    steps = [it.replace("dagster-models[", f"{REPOSITORY}[") for it in steps]
    python = f"{sys.base_prefix}/bin/python3"
    script = "\n".join([f"{python} -m venv {AT}/venv", f"cd {AT}/app", *steps])
    done = subprocess.run(
        command_of(image, script),
        env={**os.environ, "PATH": environment()["PATH"]},
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(image / "app" / "target")
    (image / "app" / "target").mkdir()
    return image


def process_1(container: subprocess.Popen[str]) -> int:
    """Its id outside of the container. With it all others there end."""
    (children,) = Path(f"/proc/{container.pid}/task").glob("*/children")
    return int(children.read_text())


def end(container: subprocess.Popen[str]) -> None:
    """Whatever has become of it, so that a test that fails leaves nothing."""
    if container.poll() is None:
        os.kill(process_1(container), signal.SIGKILL)
    container.communicate()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def rows(image: Path, sql: str) -> list[list[object]]:
    """Read by the image's DuckDB: the one of the tests may be older than the file."""
    program = (
        "import duckdb, json, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(json.dumps(connection.execute(sys.argv[2]).fetchall(), default=str))\n"
    )
    file = image / "volumes" / "target" / "box.duckdb"
    command = [image / "venv" / "bin" / "python", "-c", program, file, sql]
    read: list[list[object]] = json.loads(subprocess.check_output(command, text=True))
    return read


def test_a_run_needs_no_more_than_what_the_page_says(image: Path) -> None:
    run = start(image, "dagster", "job", "execute", "-f", "definitions.py", "-j", "all")
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0, said
    assert rows(image, "select count(*) from main.large") == [[150_000]]
    assert rows(image, "select n::varchar from main.slow") == [["10"]]


def test_a_stop_within_the_grace_time(image: Path) -> None:
    """Process 1 ignores a signal that it does not handle; and with it all others end."""
    rows_file = image / "app" / "rows.csv"
    rows_file.write_text("n\n100000000000000\n")
    before = rows(image, "select step, run_id from dagster_models.commits order by all")
    run = start(image, "dagster", "job", "execute", "-f", "definitions.py", "-j", "all")
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        said += line
        if "START table main.slow" in line:
            break
    time.sleep(1)  # the statement is in the warehouse by now
    os.kill(process_1(run), signal.SIGTERM)
    run.wait(timeout=GRACE_SECONDS)
    said += run.stdout.read()
    run.stdout.close()
    assert "CANCEL table main.slow" in said
    rows_file.write_text("n\n5\n")
    after = rows(image, "select step, run_id from dagster_models.commits order by all")
    committed = {str(step) for step, run in after if [step, run] not in before}
    assert "main.slow" not in committed
    for step in committed:
        assert re.search(rf"OK .*{step}", said), "what is committed is reported as such"
    assert rows(image, "select n::varchar from main.slow") == [["10"]], "the one before"


def test_without_a_folder_for_sockets_it_says_what_to_mount(image: Path) -> None:
    sealed = SEALED.replace("mount -t tmpfs -o mode=1777 tmpfs /tmp\n", "")
    command = ["dagster-models", "sql", "select 1"]
    done = subprocess.run(
        command_of(image, sealed, *command),
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "mount an emptyDir at /tmp" in done.stdout + done.stderr


def test_two_replicas_serve_one_project(image: Path) -> None:
    """Each is process 1 of its container, so that no name may hang on that number alone."""
    serve = ("dagster", "api", "grpc", "--python-file", "definitions.py", "--host", "127.0.0.1")
    ports = [free_port(), free_port()]
    replicas = [start(image, *serve, "--port", str(port)) for port in ports]
    try:
        for port, replica in zip(ports, replicas, strict=True):
            client = DagsterGrpcClient(port=port, host="127.0.0.1")
            wait_for_grpc_server(replica, client, [], timeout=60)
            assert "__repository__" in client.list_repositories()
        for replica in replicas:
            os.kill(process_1(replica), signal.SIGTERM)
        for replica in replicas:
            replica.communicate(timeout=GRACE_SECONDS)
    finally:
        for replica in replicas:
            end(replica)


def test_what_a_pod_wrote_is_read_by_the_next_one(image: Path) -> None:
    """`target/` is on a volume: a new container reads what a run wrote that is gone."""
    for command in ("results", "explain"):
        done = start(image, "dagster-models", command)
        said, _ = done.communicate(timeout=60)
        assert done.returncode in (0, 1), said
        assert "main.slow" in said
    written = start(image, "dagster-models", "report")
    said, _ = written.communicate(timeout=60)
    assert "main.slow" in (image / "volumes" / said.strip().splitlines()[-1]).read_text()
