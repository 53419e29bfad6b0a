"""What Python files really read, beside what was found in their text: they are run here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dagster_models.core.model import Key
from project_cases import load, write_project

WAYS = Path(__file__).parents[1] / "data" / "python" / "ways.txt"
BASE = {
    "dagster_models.yaml": "name: p\n",
    "models/raw/orders.sql": "select 1 as id",
    "models/raw/paid.sql": "select 1 as id",
}
#: Runs files as the worker does, each in a fork, and prints what they send to the warehouse.
RUN = """
import os, sys, types
import pyarrow
from dagster_models.processes.client.warehouse import Warehouse, bound

ROWS = pyarrow.table({"id": [1]})

class Session:
    def execute(self, text): print("SENT", text)
    def export(self, text):
        print("SENT", text)
        return ROWS

class Connection:
    def use(self, do): return do(Session())

def run(path):
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.path.insert(0, os.getcwd())
    warehouse = Warehouse(Connection())
    with bound(warehouse):
        exec(compile(open(path).read(), path, "exec"), module.__dict__)
        if hasattr(module, "model"):
            module.model(warehouse)

sys.dont_write_bytecode = True
for line in sys.stdin.read().splitlines():
    folder, path = line.split("\\t")
    print("FILE", folder, flush=True)
    if not os.fork():
        os.chdir(folder)
        run(path)
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0, folder
"""


def ways() -> list[tuple[str, dict[str, str]]]:
    found = []
    for part in WAYS.read_text().split("\n#### ")[1:]:
        title, _, body = part.partition("\n")
        first, *others = ("\n" + body).split("\n---- ")
        path = "models/marts/way.py" if "\ndef model(" in first else "scripts/way.py"
        files = {path: first.lstrip("\n") + "\n"}
        for other in others:
            name, _, content = other.partition("\n")
            files[name] = content + "\n"
        found.append((title, files))
    return found


def sent_by(folders: Mapping[Path, str]) -> dict[str, str]:
    """What the file of each folder sends to the warehouse."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN],
        input="".join(f"{folder}\t{path}\n" for folder, path in folders.items()),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    parts = ran.stdout.replace('"', "").split("FILE ")[1:]
    return dict(part.split("\n", 1) for part in parts)


def test_what_a_file_reads_was_found_or_there_is_a_warning(tmp_path: Path) -> None:
    roots = {}
    for number, (_, files) in enumerate(ways()):
        roots[write_project(tmp_path / str(number), {**BASE, **files})] = next(iter(files))
    sent = sent_by(roots)
    hidden = []
    for (title, _), (root, path) in zip(ways(), roots.items(), strict=True):
        assert "raw.orders" in sent[str(root)], f"{title}: it does not read it"
        project = load(root)
        (step,) = (step for step in project.steps.values() if step.location.path == path)
        wrong = Key("raw", "paid") in step.upstream
        if wrong or (Key("raw", "orders") not in step.upstream and not project.warnings):
            hidden.append(title)
    assert hidden == []
