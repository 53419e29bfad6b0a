"""Where the tests' data, the repository and the example are."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
DATA = TESTS / "data"
REPOSITORY = TESTS.parent
