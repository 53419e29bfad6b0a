"""Files that a command writes where the user says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_models.errors import DagsterModelsError


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Write in the block to a file or folder.

    Raises:
        DagsterModelsError: that is not possible.
    """
    try:
        yield
    except OSError as error:
        raise DagsterModelsError(f"{place} cannot be written: {error.strerror}") from error
