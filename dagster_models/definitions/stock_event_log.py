"""Large projects are warned of Dagster's stock event log, which takes long to launch their runs.

Measured on 2 cores (tests/bench/launch.py, with and without --stock): the first step of 1,000
assets started 19 s after the click on an idle machine, and 88 and 116 s on busy ones. On the
storage of this package, which writes the same files, it starts after 9 s on an idle one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

#: From so many assets on each launch takes seconds more, or half a minute on a busy machine.
MANY_ASSETS = 300

logger = logging.getLogger("dagster_models")

_ADVICE = (
    "Dagster's stock event log takes long to launch a run of hundreds of assets (1,000: 19 s on an"
    " idle machine, 88 s and more on a busy one), and that of dagster-models, which keeps the same"
    " files, takes half of it or less. Add to {file}:"
    " `event_log_storage: {{module: dagster_models.storage, class: PooledSqliteEventLogStorage}}`,"
    " and set DAGSTER_EVENT_BATCH_SIZE=1000 for the webserver, the daemon and the runs"
)


def warn_of_stock_event_log(assets: int, environ: Mapping[str, str]) -> None:
    """Warn, once per process, if *assets* are many and the Dagster home says that it is used.

    Without ``$DAGSTER_HOME`` nothing is known at load (a code server of a deployment has none);
    ``advice_for_run`` speaks up then.
    """
    home = environ.get("DAGSTER_HOME")
    if assets >= MANY_ASSETS and home and uses_stock_event_log(Path(home)):
        for text in _once(str(Path(home) / "dagster.yaml")):
            logger.warning("%s", text)


def advice_for_run(steps: int, stock: bool) -> list[str]:
    """The same advice for a run of many steps, as long as this process has not given it."""
    if steps < MANY_ASSETS or not stock:
        return []
    return _once("$DAGSTER_HOME/dagster.yaml")


def uses_stock_event_log(home: Path) -> bool:
    """Whether dagster.yaml chooses Dagster's own SQLite event log, by not saying anything else."""
    try:
        text = (home / "dagster.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError):
        return False
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return False  # Dagster reports that better
    return isinstance(config, dict) and _is_stock(config)


def _is_stock(config: Mapping[str, Any]) -> bool:
    log, every = config.get("event_log_storage"), config.get("storage")
    if isinstance(log, dict):
        return log.get("class") == "SqliteEventLogStorage"
    return every is None or (isinstance(every, dict) and "sqlite" in every)


@cache
def _said() -> list[str]:
    return []


def _once(file: str) -> list[str]:
    """The advice, unless this process has given it."""
    if _said():
        return []
    _said().append(file)
    return [_ADVICE.format(file=file)]
