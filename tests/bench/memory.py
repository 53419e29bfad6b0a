"""Memory of a run: the run worker, the warehouse process and the Python workers, at their peak.

    python tests/bench/memory.py [--models 1000 5000] [--quick]

All processes of the run, five times a second (process_memory.py): Linux only. A Python model in
flight has a process of its own, which counts by what it imports.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path

from commands import dagster, graph_of, query, write_ours
from figures import Goal, show
from process_memory import mib, pids

#: (models, every tenth in Python) -> the sum of all processes.
GOALS = {
    (1000, False): Goal(250, "MiB"),
    (1000, True): Goal(400, "MiB"),
    (5000, False): Goal(600, "MiB"),
}
PYTHON = '"""\n@model\nupstream: [{deps}]\n"""\n\ndef model(warehouse):\n    return [{{"id": 1}}]\n'
KINDS = {
    "job execute": "run worker",
    "dagster_models.processes.server": "warehouse process",
    "dagster_models.processes.worker": "Python workers",
}
MARK = "DAGSTER_MODELS_BENCH_FOLDER"


def sizes(folder: str) -> dict[str, float]:
    """Kind -> MiB of the processes that have inherited the run's mark."""
    processes = [*pids(f"{MARK}={folder}")]
    return mib(
        (pid, kind) for part, kind in KINDS.items() for pid, told in processes if part in told
    )


class Peak(threading.Thread):
    """Looks until ``over`` is set; ``best``: the look with the largest sum."""

    def __init__(self, folder: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.over = folder, threading.Event()
        self.best: dict[str, float] = {}

    def run(self) -> None:
        while not self.over.wait(0.2):
            now = sizes(self.folder)
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
    parser.add_argument("--models", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="10 models, once")
    options = parser.parse_args()
    runs = [(models, False) for models in options.models]
    runs += [(models, True) for models in options.models if models <= 1000]
    print(f"on {options.slots} slots, at the peak of the sum")
    for models, python in [(10, True)] if options.quick else runs:
        found = peak_of(models, options.slots, python)
        what = "every tenth in Python" if python else "all in SQL"
        goal = GOALS.get((models, python))
        show(f"{models:,} models, {what}", sum(found.values()), goal, "MiB")
        for kind, of_kind in found.items():
            show(f"    {kind}", of_kind, None, "MiB")


if __name__ == "__main__":
    main()
