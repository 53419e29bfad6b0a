"""Packages for tests that install some, made here, so that nothing is downloaded."""

from __future__ import annotations

import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, source: str) -> str:
    """A wheel in *folder* of one module; returns the requirement that installs it."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", source)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        file.writestr(f"{about}/METADATA", metadata)
        file.writestr(f"{about}/WHEEL", tag)
        file.writestr(f"{about}/RECORD", "")
    return f"{name} @ {path.as_uri()}"
