"""Dagster's instance, whose home may be anything that somebody has written into a variable."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from dagster import DagsterError, DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from dagster_models.errors import SelectionError

_SHOWN = 300  #: characters of an error of Dagster's, which may have all of its schema


@contextmanager
def opened_instance(home: Path) -> Iterator[DagsterInstance]:
    """The instance of this home, which $DAGSTER_HOME names.

    Raises:
        SelectionError: the home is none, or what is in it cannot be read or written, also within
            the block.
    """
    wrong = f"DAGSTER_HOME is {home}"
    if not home.is_absolute():
        raise SelectionError(f"{wrong}: it must be an absolute path")
    if not home.is_dir():
        what = "is no folder" if home.exists() else "is not there"
        raise SelectionError(f"{wrong}, which {what}: create it, or name another folder")
    try:
        instance = DagsterInstance.get()
    except (DagsterError, SQLAlchemyError, OSError, yaml.YAMLError) as error:
        what = textwrap.shorten(str(error), _SHOWN, placeholder=" ...")
        raise SelectionError(f"{wrong}, which Dagster cannot use: {what}") from error
    with instance:
        try:
            yield instance
        except SQLAlchemyError as error:
            what = str(error).splitlines()[0]
            raise SelectionError(f"{wrong}, whose database cannot be used: {what}") from error
