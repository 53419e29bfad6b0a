"""Run the tests of a dbt adapter with dagster-models in the place of dbt.

    python tests/bench/dbt_adapter_suite.py CHECKOUT INTO --dbt path/to/python

CHECKOUT is one of dbt-duckdb, or the folder dbt-postgres of one of dbt-adapters; the Python has
that adapter, dbt-tests-adapter, pytest, and the version of duckdb that this one has. Nothing is
written into the checkout. What its tests ask dbt to build is imported and run as a Dagster job
(`adapter_suite`), and what these ask of the database is asked as ever. INTO gets the log, to which
a second call adds: `--again` runs what has not passed yet. With `--by-dbt` dbt does all of it, so
that the table says which tests dbt itself passes here.

Then it prints the table: how many pass, and of each other one why, by `adapter_suite/reasons.yaml`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import psycopg
import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
from postgres_server import start_server  # noqa: E402

SUITE = HERE / "adapter_suite"
#: What needs a service in the network, or an extension that is downloaded.
_DUCKDB = [
    *("--profile", "file", "-k", "not ducklake and not motherduck"),
    *("--ignore", "tests/functional/adapter/test_external.py"),
    *("--ignore", "tests/functional/adapter/test_community_extensions.py"),
]
_TESTS = "tests/functional/adapter"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--dbt", required=True, help="a Python that has dbt and its tests")
    parser.add_argument("--by-dbt", action="store_true", help="leave all to dbt")
    parser.add_argument("--again", action="store_true", help="only what has not passed yet")
    parser.add_argument("--table", action="store_true", help="print the table alone")
    parser.add_argument("--tests", nargs="+", default=[_TESTS], help="as pytest names them")
    options = parser.parse_args()
    into = options.into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    if not options.table:
        run(options, into)
    print("\n".join(table(into)))


def run(options: argparse.Namespace, into: Path) -> None:
    is_duckdb = (options.checkout / "dbt/adapters/duckdb").is_dir()
    words = [options.dbt, "-m", "pytest", "-p", "plugin", "-p", "no:cacheprovider", "-q"]
    words += _DUCKDB if is_duckdb else ["-o", "addopts="]
    if options.again:
        words += [test for test, it in last_lines(into, "log").items() if it["outcome"] == "failed"]
    else:
        words += options.tests
    with contextlib.ExitStack() as stack:
        server = {} if is_duckdb else stack.enter_context(postgres())
        environ = {
            **os.environ,
            **server,
            "PYTHONPATH": str(SUITE),
            "ADAPTER_SUITE_PYTHON": "" if options.by_dbt else sys.executable,
            "ADAPTER_SUITE_FOLDER": str(into),
            "ADAPTER_SUITE_LOG": str(into / ("by_dbt.jsonl" if options.by_dbt else "log.jsonl")),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        with (into / "output.txt").open("w") as output:
            subprocess.run(
                words,
                cwd=options.checkout,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )


@contextlib.contextmanager
def postgres() -> Iterator[Mapping[str, str]]:
    """A server with the roles that the tests of dbt-postgres name; the environment for them."""
    server = start_server()
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create role root superuser login password 'password'")
            connection.execute("create database dbt owner root")
            for number in (1, 2, 3):
                connection.execute(f"create role dbt_test_user_{number}".encode())
        yield {
            "POSTGRES_TEST_HOST": "127.0.0.1",
            "POSTGRES_TEST_PORT": str(server.port),
            **{f"DBT_TEST_USER_{number}": f"dbt_test_user_{number}" for number in (1, 2, 3)},
        }
    finally:
        server.stop()


def last_lines(into: Path, name: str) -> dict[str, Any]:
    """Test -> what its last run has left."""
    file = into / f"{name}.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return {it["test"]: it for it in map(json.loads, lines)}


def table(into: Path) -> Iterator[str]:
    """Counts, and then each reason with its tests. One that dbt itself does not pass is left out;
    one whose commands dbt has all carried out says nothing of this package."""
    found, by_dbt = last_lines(into, "log"), last_lines(into, "by_dbt")
    reasons = yaml.safe_load((SUITE / "reasons.yaml").read_text())
    told: dict[str, list[str]] = {}
    for test, it in found.items():
        told.setdefault(_told(it, by_dbt.get(test), reasons), []).append(test.rpartition("/")[2])
    yield "| what | tests |"
    yield "| --- | --- |"
    for what, tests in sorted(told.items()):
        yield f"| {what} | {len(tests)} |"
    yield f"| all | {len(found)} |"
    for what, tests in sorted(told.items()):
        if not what.startswith("passes"):
            yield f"\n{what}"
            yield from (f"    {test}: {_short(found, test)}" for test in tests)


def _told(line: Any, in_dbt: Any, reasons: list[Any]) -> str:
    if line["outcome"] == "skipped":
        return "skipped by the suite"
    if in_dbt is not None and in_dbt["outcome"] != "passed":
        return "dbt does not pass it either"
    if not any(call["by"] == "ours" for call in line["calls"]) and line["outcome"] == "passed":
        return "passes, and asks dbt alone"
    if line["outcome"] == "passed":
        return "passes"
    name = line["test"].partition("::")[2]
    for it in reasons:
        if any(fnmatchcase(name, pattern) for pattern in it["tests"]):
            return f"{it['kind']}: {it['why']}"
    return "UNEXPLAINED"


def _short(found: dict[str, Any], name: str) -> str:
    (line,) = (it for test, it in found.items() if test.rpartition("/")[2] == name)
    return " ".join(str(line["error"]).split())[:160]


if __name__ == "__main__":
    main()
