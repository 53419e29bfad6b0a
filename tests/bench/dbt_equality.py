"""Import each dbt project of a folder, and compare it with dbt itself.

    python tests/bench/dbt_equality.py PROJECTS INTO --dbt path/to/dbt [NAME ...]

PROJECTS has a folder for each project, with its dbt_packages and a profiles.yml for DuckDB or
PostgreSQL. Its schema is the one in which the project's sources are: integration tests of packages
name it in dbt_project.yml (`salesforce_schema`). `vars.yml`, if it is there, has the values of
`--vars`. dbt builds each project before, as the text of some models and tests is dbt's alone, and
rests on what is built; what it cannot build is listed first. INTO gets the imports, with their
reports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

SHOWN = 3  #: differences, and steps that dbt cannot build, of each project


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("projects", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--dbt", required=True)
    options = parser.parse_intermixed_args()
    print("| project | texts equal | relations equal | tests equal | seconds |")
    print("| --- | --- | --- | --- | --- |")
    notes = []
    for folder in sorted(it for it in options.projects.iterdir() if it.is_dir()):
        if options.names and folder.name not in options.names:
            continue
        began = time.monotonic()
        found = verification(folder, options.into / folder.name, options.dbt)
        notes += [f"{folder.name}: dbt cannot build {it}" for it in not_built(folder)[:SHOWN]]
        parts = " | ".join(counted(found[kind]) for kind in ("texts", "relations", "tests"))
        print(f"| {folder.name} | {parts} | {time.monotonic() - began:.0f} |", flush=True)
        notes += [f"{folder.name}: {line}" for line in differences(found)]
    print("\n".join(["", *notes]))


def verification(folder: Path, into: Path, dbt: str) -> Any:
    given = folder / "vars.yml"
    variables = given.read_text() if given.is_file() else "{}"
    for command in ("seed", "build"):
        words = [dbt, command, "--profiles-dir", ".", "--vars", variables]
        subprocess.run(words, cwd=folder, capture_output=True, check=False)
    call = [sys.executable, "-m", "dagster_models.cli", "import-dbt", str(folder), "--json"]
    call += ["--into", str(into), "--verify", "--verify-tables", "--dbt", dbt]
    done = subprocess.run([*call, "--vars", variables], stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)["verification"]


def not_built(folder: Path) -> list[str]:
    """What dbt's own build has left out, with its reason: nothing of that can be compared."""
    found = json.loads((folder / "target/run_results.json").read_text())["results"]
    wrong = [it for it in found if it["status"] in ("error", "skipped")]
    return [f"{it['unique_id']}: {' '.join((it['message'] or '').split())[:160]}" for it in wrong]


def counted(results: Any) -> str:
    """How many are equal, of all, and how many are in another state."""
    states = Counter(it["state"] for it in results)
    others = "".join(f", {count} {it}" for it, count in states.items() if it != "equal")
    return f"{states['equal']} of {len(results)}{others}"


def differences(found: Any) -> list[str]:
    lines = []
    for kind in ("texts", "relations", "tests"):
        different = [it for it in found[kind] if it["state"] not in ("equal", "not compared")]
        for it in different[:SHOWN]:
            what = it.get("what") or it.get("note") or "; ".join(it.get("notes", ()))
            columns = ", ".join(it.get("columns", ()))
            lines.append(f"{it['unique_id']} {it['state']}: {columns} {what}")
    return lines


if __name__ == "__main__":
    main()
