"""How many models of dbt projects an import takes over, and why the others are left.

    python tests/bench/dbt_coverage.py PROJECTS INTO [--dbt path/to/dbt] [NAME ...]

PROJECTS has checkouts, in any folders: each dbt_project.yml that is in no other dbt project is a
project. ``vars.yml`` beside it, if it is there, has the values of ``--vars``. With ``--dbt``, dbt
parses each project, and then compiles each model that asks no warehouse (dbt_compile.py beside this
file). The profiles.yml beside dbt_project.yml may be a made-up one, as neither needs an account.
Without ``--dbt``, what is in the target folders counts. INTO gets the imports with their reports.

A model is loaded if it is not disabled, which it is if its file would not load. "parsed" counts
those that need no text of dbt's, so that a manifest of `dbt parse` is enough; "all" counts all.
"dbt compiled" are the models whose text dbt has compiled, and "of these" those of them that are
loaded. Only models of the project itself count, and none of its packages. CPU seconds are those of
the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.manifest import read_manifest

SHOWN = 3  #: reasons of each project
WAYS = ("source", "rendered", "compiled", "none")
HEAD = ("project", "models", "source text", *WAYS[1:3], "left", "parsed", "all")
HEAD += ("dbt compiled", "of these", "CPU s")
COMPILE = Path(__file__).with_name("dbt_compile.py")


@dataclass(frozen=True, slots=True)
class Coverage:
    """``ways``: way -> models; "none" has those that are disabled. ``compiled``: whether a model is
    loaded -> models that dbt has compiled. ``reasons``: why models are left, or need dbt's text.
    ``refused``: why there is no import at all."""

    ways: Counter[str] = field(default_factory=Counter)
    compiled: Counter[bool] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0
    refused: str = ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("projects", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--dbt")
    options = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    found: dict[str, Coverage] = {}
    for folder in projects_in(options.projects):
        name = folder.relative_to(options.projects).as_posix()
        if options.names and name not in options.names:
            continue
        if options.dbt:
            ask(options.dbt, folder)
        found[name] = imported(folder, options.into / name.replace("/", "_"))
        print(row(name, found[name]), flush=True)
    print(row("all", summed([*found.values()])))
    for name, coverage in found.items():
        for line in reasons(coverage):
            print(f"\n{name}: {line}", end="")
    print()


def projects_in(folder: Path) -> Iterator[Path]:
    """The dbt projects in a folder, but those that are inside of another one."""
    for place, folders, files in os.walk(folder, followlinks=True):
        if "dbt_project.yml" in files:
            folders.clear()
            yield Path(place)
        folders[:] = sorted(it for it in folders if not it.startswith("."))


def ask(dbt: str, folder: Path) -> None:
    """Let dbt parse the project, and compile what needs no warehouse that is not there."""
    parse = [dbt, "--no-version-check", "parse", "--profiles-dir", "."]
    compile_ = [str(Path(dbt).with_name("python")), str(COMPILE)]
    for name, call in {"dbt parse": parse, COMPILE.name: compile_}.items():
        words = [*call, "--vars", variables(folder)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            last = " ".join((done.stdout + done.stderr).split())[-200:]
            print(f"{folder.name}: {name} fails: {last}", file=sys.stderr)


def variables(folder: Path) -> str:
    given = folder / "vars.yml"
    return given.read_text() if given.is_file() else "{}"


def imported(folder: Path, into: Path) -> Coverage:
    call = [sys.executable, "-m", "dagster_models.cli", "import-dbt", str(folder), "--json"]
    call += ["--into", str(into), "--vars", variables(folder)]
    before = sum(os.times()[2:4])
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    seconds = sum(os.times()[2:4]) - before
    if not done.stdout.startswith("{"):
        said = done.stderr.strip().splitlines() or ["nothing was printed"]
        return Coverage(cpu_seconds=seconds, refused=said[-1])
    nodes = read_manifest(folder).nodes  # in the folder that the project names
    compiled = {name for name, it in nodes.items() if it.compiled_code}
    return counted(json.loads(done.stdout), compiled, seconds)


def counted(report: Any, compiled: Collection[str], seconds: float) -> Coverage:
    """The models of the project itself in an import's report."""
    prefix = f"model.{report['project']}."
    own = [it for it in report["models"] if it["unique_id"].startswith(prefix)]
    ways = Counter("none" if it["disabled"] else it["way"] for it in own)
    wanting = [it for it in own if it["disabled"] or it["way"] == "compiled"]
    loaded = Counter(not it["disabled"] for it in own if it["unique_id"] in compiled)
    return Coverage(ways, loaded, Counter(kind_of(it["why"]) for it in wanting), seconds)


def kind_of(why: str) -> str:
    """The reason without the names of one model, and without why its own text was not kept."""
    why = re.sub(r"'[^']*'|`[^`]*`|\"[^\"]*\"|\[[^]]*\]", "...", why)
    return re.sub(r"^.* computes; ", "", why)


def summed(found: Sequence[Coverage]) -> Coverage:
    ways: Counter[str] = Counter()
    compiled: Counter[bool] = Counter()
    for it in found:
        ways += it.ways
        compiled += it.compiled
    return Coverage(ways, compiled, cpu_seconds=sum(it.cpu_seconds for it in found))


def row(name: str, it: Coverage) -> str:
    models = it.ways.total()
    source, rendered, _, left = counts = [it.ways[way] for way in WAYS]
    loaded = (source + rendered, models - left)
    cells = [name, models, *counts, *(share(count, models) for count in loaded)]
    of_dbt = it.compiled.total()
    cells += [of_dbt, share(it.compiled[True], of_dbt)]
    return f"| {' | '.join(map(str, cells))} | {it.cpu_seconds:.1f} |"


def share(part: int, models: int) -> str:
    return f"{part / models:.1%}" if models else "-"


def reasons(it: Coverage) -> Iterator[str]:
    """Why models are left, or need dbt's text, most frequent reason first."""
    if it.refused:
        yield it.refused
    for why, count in it.reasons.most_common(SHOWN):
        yield f"{count} {why}"


if __name__ == "__main__":
    main()
