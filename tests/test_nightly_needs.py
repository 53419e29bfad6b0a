"""`make test-nightly` says what it cannot test, and installs what pip can install."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import nightly_needs
import real_dbt
from paths import REPOSITORY, SUPPORT


def test_what_is_missing_is_named_with_the_reason() -> None:
    needs = {"a browser": lambda: "", "MariaDB": lambda: "no mariadbd found"}
    assert nightly_needs.lines(needs) == ["Not tested here: MariaDB (no mariadbd found)"]


def test_nothing_that_tests_look_for_is_forgotten() -> None:
    texts = [path.read_text() for path in SUPPORT.glob("*.py")]
    functions = {name for text in texts for name in re.findall(r"def (why_no_\w+)", text)}
    assert len(functions) > 8
    assert functions <= vars(nightly_needs).keys()


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("", "names no Python that has dbt"),
        ("/nowhere/python", "is no Python"),
        (sys.executable, "does not have dbt-core, dbt-duckdb, dbt-postgres, dbt-tests-adapter"),
    ],
)
def test_a_python_without_dbt_is_named(
    python: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_dbt, "PYTHON", python)
    assert said in real_dbt.why_no_dbt()


@pytest.mark.parametrize("given", ["", "/of/mine/python"])
def test_both_parts_get_a_python_with_dbt_which_is_installed_unless_one_is_given(
    given: str,
) -> None:
    environ = {
        name: text for name, text in os.environ.items() if "MAKE" not in name and name != "VENV"
    }
    command = ["make", "-n", "-B", "test-nightly"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**environ, "DAGSTER_MODELS_DBT": given},
        capture_output=True,
        text=True,
        check=True,
    )
    python = given or str(REPOSITORY / ".venv/dbt/bin/python")
    parts = re.findall(r"^.*(?: -m \"\"|make .*test-duckdb2 PYTEST.*)$", done.stdout, re.M)
    assert len(parts) == 2, done.stdout
    assert all(f"DAGSTER_MODELS_DBT={python} " in line for line in parts)
    installed = re.findall(r"^.*/dbt/bin/python -m pip install .*$", done.stdout, re.M)
    assert len(installed) == (not given)
    assert all(package in line for line in installed for package in real_dbt.PACKAGES.values())
