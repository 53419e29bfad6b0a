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


def write_new(path: Path, text: str) -> bool:
    """Write a file, and return whether it was not there yet; one that is there stays as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if not path.is_file():
            raise DagsterModelsError(f"{path} is there already, and is no file") from None
        return False
    except OSError as error:
        raise DagsterModelsError(f"{path} cannot be written: {error.strerror}") from error
    return True
