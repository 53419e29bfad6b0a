"""A real Ray cluster for tests: a head and further nodes, each with processes of its own, on
loopback, without telemetry and dashboard. It ends with this process, also by SIGKILL.

Ray's own test helper starts it, in a process apart, as Ray has handlers and threads in whatever
process imports it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest


def why_no_ray() -> str:
    """Why there is no cluster to test with; "" if there is one."""
    return "" if importlib.util.find_spec("ray") else "ray not installed: make test-nightly does it"


needs_ray = pytest.mark.skipif(bool(why_no_ray()), reason=why_no_ray())

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Where no other machine can take part, Ray listens on loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_register_timeout_seconds": "120",
}

_PROGRAM = """
import json, sys
from ray.cluster_utils import Cluster

folder, nodes = sys.argv[1], json.loads(sys.argv[2])
size = 80 * 1024 * 1024
head = {"num_cpus": 4, "include_dashboard": False, "object_store_memory": size}
cluster = Cluster(initialize_head=True, head_node_args={**head, "temp_dir": folder})

def raylet(node):
    return node.all_processes["raylet"][0].process.pid

found = {"head": raylet(cluster.head_node)}
for name in nodes:
    made = cluster.add_node(num_cpus=2, resources={name: 4}, object_store_memory=size)
    found[name] = raylet(made)
print(json.dumps({"address": cluster.address, "raylets": found}), flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@dataclass
class RayClusterProcess:
    """``address``: for ray.init. ``raylets``: the pid of the raylet of each node, by name; "head"
    is one."""

    process: subprocess.Popen[str]
    address: str
    raylets: Mapping[str, int]

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def start_ray(folder: Path, *nodes: str, **environ: str) -> RayClusterProcess:
    """A cluster with a head and *nodes*; a step gets to one by a resource of its name. *environ*
    is what its nodes have beside the environment of this process."""
    (folder / "ray").mkdir()  # else Ray finds no place for the address, if it has never run here
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), json.dumps(nodes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **QUIET, "RAY_TMPDIR": str(folder), **environ},
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if line.startswith("{"):
            said = line
            break
    found = json.loads(said)
    return RayClusterProcess(process, found["address"], found["raylets"])
