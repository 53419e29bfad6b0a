"""Paths for a program that reads more into them than a name: a list, a pattern, a URL.

DuckDB divides a search path at commas and cannot quote one, takes ``?``, ``*``, ``[`` and ``{`` in
the name of a file to read for a pattern, makes a column ``year`` of each file below a folder
``year=2024``, cuts off what follows a ``?`` in the name of a database, and takes no name that is
not UTF-8. A folder may have such a name all the same: it is then reached by a link whose name is
plain.
"""

from __future__ import annotations

import contextlib
import os
import re

from dagster_models.util.runtime_files import digest, private_folder, runtime_folder

_PLAIN = re.compile(r"[\w/.@%+:~' -]*")


def plain_folder(folder: str) -> str:
    """The folder itself, or a link to it: a path of which every character is taken as it is.

    Raises WarehouseError if the private folder for links cannot be used.
    """
    if _PLAIN.fullmatch(folder):
        return folder
    place = runtime_folder()
    if not _PLAIN.fullmatch(place):
        place = private_folder(f"/tmp/dagster-models-{os.getuid()}")
    link = os.path.join(place, f"{digest(folder)}.folder")
    with contextlib.suppress(FileExistsError):
        os.symlink(folder, link)
    return link


def plain_path(path: str) -> str:
    """The path of a file by way of a plain folder. The name of the file stays as it is."""
    folder, name = os.path.split(path)
    return os.path.join(plain_folder(folder), name)
