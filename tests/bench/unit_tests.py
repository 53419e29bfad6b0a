"""What unit tests cost: `dagster-models test` of 100 tests, from the shell to its exit.

    python tests/bench/unit_tests.py [--quick] [--tests 100]

A quarter each are of a table, a merge with `this`, a snapshot and a view over an ephemeral model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

SOURCES = """
sources:
  - name: raw
    tables:
      - name: orders
        columns: {id: {type: integer}, status: {type: varchar}, seen: {type: timestamp}}
"""
MODELS = {
    "built": "/* @model\nmaterialized: table\n*/\n"
    "select id, upper(status) as status from raw.orders",
    "merged": "/* @model\nmaterialized: incremental\nunique_key: id\nsince: seen\n*/\n"
    "select * from raw.orders where seen >= /*$since*/ timestamp '2020-01-01'",
    "history": "/* @model\nmaterialized: snapshot\nunique_key: id\nstrategy: check\n*/\n"
    "select id, status from raw.orders",
    "inside": "/* @model\nmaterialized: ephemeral\n*/\nselect id, status from raw.orders",
    "shown": "select id, status from marts.inside where id > 1",
}


def tests_of(count: int) -> list[dict[str, object]]:
    given = [{"id": n, "status": "new", "seen": "2024-01-05"} for n in (1, 2)]
    this = [{"id": 1, "status": "old", "seen": "2024-01-04"}]
    old = [{"id": 1, "status": "old", "valid_from": "2024-01-01"}]
    kinds = (
        ("built", {}, [{"id": 1, "status": "NEW"}, {"id": 2, "status": "NEW"}]),
        ("merged", {"this": this}, [{"id": 1, "status": "new"}, {"id": 2, "status": "new"}]),
        ("history", {"this": old}, [{"id": 1}, {"id": 1}, {"id": 2}]),
        ("shown", {}, [{"id": 2, "status": "new"}]),
    )
    found = []
    for number in range(count):
        model, more, expect = kinds[number % len(kinds)]
        found.append(
            {
                "model": model,
                "name": f"number {number}",
                "given": {"raw.orders": given, **more},
                "expect": expect,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tests", type=int, default=100)
    options = parser.parse_args()
    count = 4 if options.quick else options.tests
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in MODELS.items():
            file = root / "models" / "marts" / f"{name}.sql"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (root / "dagster_models.yaml").write_text("name: p\n")
        (root / "models" / "sources.yaml").write_text(SOURCES)
        (root / "unit_tests").mkdir()
        (root / "unit_tests" / "all.yaml").write_text(yaml.safe_dump(tests_of(count)))
        command = [sys.executable, "-m", "dagster_models.cli", "--project", folder, "test"]
        for word in ("first", "again"):
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - began
            print(f"{word:<6} {seconds:6.2f} s   {done.stdout.splitlines()[-1]}")


if __name__ == "__main__":
    main()
