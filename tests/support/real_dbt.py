"""dbt itself, with which tests compare.

DAGSTER_MODELS_DBT is a Python that has it: dbt-core 1.11 or 1.12, dbt-duckdb, dbt-postgres,
dbt-tests-adapter, and the duckdb and pytest of the tests.
"""

from __future__ import annotations

import os
import subprocess

import pytest

PYTHON = os.environ.get("DAGSTER_MODELS_DBT", "")

#: What the Python must have: each module with the package that brings it.
PACKAGES = {
    "dbt.cli": "dbt-core",
    "dbt.adapters.duckdb": "dbt-duckdb",
    "dbt.adapters.postgres": "dbt-postgres",
    "dbt.tests.adapter": "dbt-tests-adapter",
    "pytest": "pytest",  # dbt-tests-adapter imports it, and does not require it
}
_MISSING = """
import sys
from importlib.util import find_spec
def has(name):
    try: return find_spec(name) is not None
    except ModuleNotFoundError: return False
print(*(name for name in sys.argv[1:] if not has(name)))
"""


def why_no_dbt() -> str:
    """Why there is none to compare with; "" if there is one."""
    if not PYTHON:
        return "DAGSTER_MODELS_DBT names no Python that has dbt: `make test-nightly` makes one"
    command = [PYTHON, "-c", _MISSING, *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"DAGSTER_MODELS_DBT is no Python: {error}"
    missing = ", ".join(PACKAGES[name] for name in done.stdout.split())
    return f"DAGSTER_MODELS_DBT={PYTHON} does not have {missing}" if missing else ""


_WHY = why_no_dbt()
needs_dbt = pytest.mark.skipif(bool(_WHY), reason=_WHY)
