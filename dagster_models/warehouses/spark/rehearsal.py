"""Where unit tests build on Spark: a folder of their own, and schemas whose names nobody else has.

    begin   the session has another folder of relations, which is empty
    end     the folder is removed, and what Spark knew of it

Spark has no transaction that could be rolled back. So each relation is really published, there. The
folder of a process that was killed is removed by a later test, and its schemas are gone when the
server forgets the session; a catalog that lasts keeps them.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress

from dagster_models.warehouses.spark.catalog import Catalog
from dagster_models.warehouses.spark.location import DeltaFolder, RelationFolder
from dagster_models.warehouses.spark.server import Server

#: No name of a schema has a hyphen.
_PREFIX = "unit_tests-"
_LEFT_SECONDS = 24 * 60 * 60


class Rehearsal:
    """``location`` and ``catalog`` are those of the tests."""

    def __init__(self, server: Server, real: RelationFolder) -> None:
        _remove_left(real.folder)
        folder = os.path.join(real.folder, f"{_PREFIX}{os.urandom(8).hex()}")
        os.makedirs(folder)
        self.location = DeltaFolder(folder, real.integer_bits)
        self.catalog = Catalog(server, self.location)

    def end(self) -> None:
        self.catalog.forget_all()
        shutil.rmtree(self.location.folder, ignore_errors=True)


def _remove_left(folder: str) -> None:
    with suppress(FileNotFoundError):
        for it in os.scandir(folder):
            if it.name.startswith(_PREFIX) and it.stat().st_mtime < time.time() - _LEFT_SECONDS:
                shutil.rmtree(it.path, ignore_errors=True)
