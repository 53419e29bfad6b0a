"""Dagster's revisions are read once in a process, and not by each instance that is opened.

Whenever Dagster opens an instance, it compares the revisions of its tables with those that it
knows, and alembic reads these from 88 files each time. The tests open thousands of instances: half
of the time of each went there, and a seventh of that of a small run.
"""

from __future__ import annotations

import functools

from alembic.config import Config
from alembic.script import ScriptDirectory

_read = ScriptDirectory.from_config


def read_revisions_once() -> None:
    """Let alembic keep, in this process, what it has read."""
    ScriptDirectory.from_config = staticmethod(_kept)  # type: ignore[method-assign]


def _kept(config: Config) -> ScriptDirectory:
    return _kept_of(config.get_main_option("script_location"), config.config_file_name)


@functools.cache
def _kept_of(location: str, file: str) -> ScriptDirectory:
    config = Config(file)
    config.set_main_option("script_location", location)
    return _read(config)
