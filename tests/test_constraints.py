"""constraints.txt can be installed with each Python of pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from paths import REPOSITORY

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LINES = (REPOSITORY / "constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]


def pinned(python: str) -> dict[str, str]:
    """Package -> its version for this Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    return {
        pin.name: next(iter(pin.specifier)).version
        for pin in PINS
        if pin.marker is None or pin.marker.evaluate(environment)
    }


@pytest.mark.parametrize("python", PYTHONS)
def test_no_pin_refuses_a_python_that_it_is_for(python: str) -> None:
    """As far as is known here: what is installed says which Pythons it is for, some of them from a
    later release of a Python on (pymdown-extensions from 3.11.5)."""
    refused, asked = [], 0
    for name, version in pinned(python).items():
        try:
            found = metadata(name)
        except PackageNotFoundError:  # of another Python or an extra
            continue
        if found["Version"] != version:
            continue
        asked += 1
        if f"{python}.99" not in SpecifierSet(found.get("Requires-Python", "")):
            refused.append(f"{name}=={version}: {found['Requires-Python']}")
    assert refused == []
    assert asked > 50


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_one_pin_of_each_package(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    names = [pin.name for pin in PINS if pin.marker is None or pin.marker.evaluate(environment)]
    assert sorted(names) == sorted(set(names))
    assert {pin.name for pin in PINS} - set(names) <= {"async-timeout", "exceptiongroup", "tomli"}
