"""The options of ``import-dbt --verify`` and ``--verify-tables``, without what carries them out."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_verify(parser: argparse.ArgumentParser) -> None:
    text = "compare each model's text with what dbt has compiled; exit code 1 if one differs"
    parser.add_argument("--verify", action="store_true", help=text)
    text = (
        "what else dbt has compiled, for --verify: a target folder or a manifest.json, as that of"
        " `dbt compile --full-refresh --target-path FOLDER`"
    )
    parser.add_argument(
        "--compiled", type=Path, action="append", default=[], metavar="PATH", help=text
    )
    _add_verify_tables(parser)


def _add_verify_tables(parser: argparse.ArgumentParser) -> None:
    text = (
        "run dbt and what was written, each on a copy of the database, and compare each relation"
        " row by row, and the result of each test; exit code 1 if one differs"
    )
    parser.add_argument("--verify-tables", action="store_true", help=text)
    text = "dbt's executable, for --verify-tables (default: `dbt` of PATH)"
    parser.add_argument("--dbt", metavar="PROGRAM", help=text)
    text = (
        "a database that dbt has built, with which --verify-tables compares in place of a run of"
        " dbt: a file, or the name of a database on the server"
    )
    parser.add_argument("--against", metavar="DATABASE", help=text)
