"""The other tools beside which a benchmark measures, where they are installed.

Each is a program in an environment of its own, on the PATH or named by an option:

    python -m venv peers/dbt && peers/dbt/bin/pip install dbt-core dbt-duckdb
    python tests/bench/overhead.py --dbt peers/dbt/bin/dbt
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: Program -> the packages that are installed for it.
PACKAGES = {
    "dbt": ("dbt-core", "dbt-duckdb"),
    "sqlmesh": ("sqlmesh",),
    "yato": ("yato-lib",),
}
VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


def add_peers(parser: argparse.ArgumentParser, *programs: str) -> None:
    """Add an option for each program that the benchmark can measure."""
    for program in programs:
        packages = " and ".join(PACKAGES[program])
        text = f"the program of {packages} (default: the one on the PATH)"
        parser.add_argument(f"--{program}", metavar="PATH", default=program, help=text)


def chosen_peers(options: argparse.Namespace, *programs: str) -> Mapping[str, str]:
    """The absolute path of each program that is there. A line is printed for each of them, with its
    version, or with what is missing."""
    found = {}
    for program in programs:
        path = shutil.which(getattr(options, program))
        if path is None:
            packages = " and ".join(PACKAGES[program])
            print(f"{program} is not measured: it is not installed ({packages}; --{program} PATH)")
        else:
            found[program] = os.path.abspath(path)
            print(f"{program}: {_versions(found[program], *PACKAGES[program], 'duckdb')}")
    return found


def _versions(program: str, *packages: str) -> str:
    """The versions in the environment of a program, by the Python beside it."""
    python = Path(program).parent / "python"
    command = [str(python), "-c", VERSIONS, *packages]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"of unknown version, as {python} does not know it"
    return ", ".join(f"{name} {version}" for name, version in json.loads(told).items())
