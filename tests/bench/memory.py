"""Memory of a run: the run worker, the warehouse process and the Python workers, at their peak.

    python tests/bench/memory.py [--models 1000] [--quick]

The proportional set size (PSS: shared pages are divided among those who share them) of all
processes of the run, five times a second, from /proc: Linux only. Goal: under 400 MiB at 1,000
models. A Python model in flight has a process of its own, which counts by what it imports.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from commands import dagster, graph_of, query, write_ours

GOAL_MIB = 400
PYTHON = '"""\n@model\nupstream: [{deps}]\n"""\n\ndef model(warehouse):\n    return [{{"id": 1}}]\n'
KINDS = {
    "dagster_models.processes.server": "warehouse process",
    "dagster_models.processes.worker": "Python workers",
    "job execute": "run worker",
}


MARK = "DAGSTER_MODELS_BENCH_FOLDER"


def sizes(folder: str) -> Iterator[tuple[str, float]]:
    """(kind, MiB of PSS) of each process that has inherited the run's mark."""
    mark = f"{MARK}={folder}".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError):  # it has just ended
            command = Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode()
            kind = next((told for part, told in KINDS.items() if part in command), None)
            if kind is None or mark not in Path("/proc", name, "environ").read_bytes():
                continue
            for line in Path("/proc", name, "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    yield kind, int(line.split()[1]) / 1024


class Peak(threading.Thread):
    """Looks until ``over`` is set; ``best``: the look with the largest sum."""

    def __init__(self, folder: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.over = folder, threading.Event()
        self.best: dict[str, float] = {}

    def run(self) -> None:
        while not self.over.wait(0.2):
            now: dict[str, float] = {}
            for kind, mib in sizes(self.folder):
                now[kind] = now.get(kind, 0.0) + mib
            if sum(now.values()) > sum(self.best.values()):
                self.best = now


def peak_of(models: int, slots: int, python: bool) -> dict[str, float]:
    """MiB by kind of process at the peak; *python*: every tenth model is a Python model."""
    graph = graph_of(models)
    with tempfile.TemporaryDirectory() as folder:
        texts = {name: query(deps, str) for name, deps in graph.items()}
        ours = write_ours(Path(folder, "ours"), texts)
        for name in list(graph)[::10] if python else ():
            (ours / "models" / "bench" / f"{name}.sql").unlink()
            text = PYTHON.format(deps=", ".join(graph[name]))
            (ours / "models" / "bench" / f"{name}.py").write_text(text)
        peak = Peak(folder)
        peak.start()
        dagster("ours", ours, slots, storage="pooled", env={MARK: folder}).run()
        peak.over.set()
        peak.join()
    assert {"run worker", "warehouse process"} <= set(peak.best), peak.best
    return peak.best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="10 models, once")
    options = parser.parse_args()
    models = 10 if options.quick else options.models
    print(f"{models:,} models on {options.slots} slots, MiB of PSS at the peak of the sum")
    for python in [True] if options.quick else [False, True]:
        found = peak_of(models, options.slots, python)
        parts = ", ".join(f"{kind} {mib:.0f}" for kind, mib in sorted(found.items()))
        what = "every tenth in Python" if python else "all in SQL"
        print(f"  {what:24}{sum(found.values()):6.0f}   ({parts})", flush=True)
    print(f"goal: under {GOAL_MIB} at 1,000 models")


if __name__ == "__main__":
    main()
