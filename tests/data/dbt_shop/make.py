"""Make manifest.json and incremental.json of this project anew, with a real dbt:

    python make.py path/to/dbt    (dbt-core and dbt-duckdb)

The first is that of `dbt compile --full-refresh`; the second has what dbt compiles of each model
when the tables are there. Of the macros only those stay that something reaches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = ("metadata", "nodes", "sources", "docs", "exposures", "groups", "unit_tests", "disabled")
NOISE = ("created_at", "checksum", "fqn", "build_path", "compiled_path", "unrendered_config")


def main(dbt: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "shop")
        shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("*.json"))
        full, later = made(dbt, copy)
    write("manifest.json", pruned(full))
    texts = {name: it.get("compiled_code") for name, it in later["nodes"].items()}
    write("incremental.json", {name: text for name, text in texts.items() if text})


def made(dbt: str, folder: Path) -> tuple[Any, Any]:
    def run(*arguments: str) -> Any:
        environment = {**os.environ, "DBT_PROFILES_DIR": str(folder)}
        subprocess.run([dbt, *arguments], cwd=folder, env=environment, check=True)
        return json.loads((folder / "target/manifest.json").read_text())

    run("seed")
    run("run", "--exclude", "script")
    later = run("compile")
    return run("compile", "--full-refresh"), later


def pruned(manifest: Any) -> Any:
    found = {key: manifest[key] for key in KEPT}
    for node in [*found["nodes"].values(), *found["sources"].values()]:
        for key in NOISE:
            node.pop(key, None)
    found["nodes"] = {k: {**n, "root_path": None} for k, n in found["nodes"].items()}
    macros, reached = manifest["macros"], set()
    pending = [it for n in found["nodes"].values() for it in n["depends_on"].get("macros", ())]
    pending += [f"macro.dbt.{name}" for name in ("is_incremental", "run_query", "statement")]
    while pending:
        name = pending.pop()
        if name in macros and name not in reached:
            reached.add(name)
            pending += macros[name]["depends_on"]["macros"]
            short, package = macros[name]["name"], macros[name]["package_name"]
            pending += [f"macro.{package}.{of}__{short}" for of in ("default", "duckdb")]
    keys = ("name", "package_name", "original_file_path", "unique_id", "macro_sql", "depends_on")
    found["macros"] = {n: {k: macros[n][k] for k in keys} for n in sorted(reached)}
    return found


def write(name: str, content: Any) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    (HERE / name).write_text(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1])
