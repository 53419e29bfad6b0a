"""Where the tests' data, the repository and the example are."""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
DATA = TESTS / "data"
REPOSITORY = TESTS.parent


def environment_of_tests() -> dict[str, str]:
    """Return an environment in which another Python imports what the tests import."""
    paths = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
