"""The console logger of a run is silent, and whatever else takes its records is not."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.log_manager import DagsterLogManager

from dagster_models._dagster.logs import quiet_console


class Kept(logging.Handler):
    """Keeps the texts that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.mark.parametrize(
    ("run_config", "in_console"), [({}, 0), ({"loggers": {}}, 0), ({"loggers": {"console": {}}}, 3)]
)
def test_the_console_is_silent_unless_the_run_config_names_it(
    run_config: dict[str, Any], in_console: int
) -> None:
    console, event_log, logger = Kept(), Kept(), logging.Logger("console")
    logger.addHandler(console)
    log = DagsterLogManager.create(loggers=[logger], handlers=[event_log])
    made_before = log.with_tags(resource_name="warehouse")
    context: Any = SimpleNamespace(run_config=run_config, log=log)
    quiet_console(context)
    quiet_console(context)
    for each in (log, log.with_tags(step_key="alpha"), made_before):
        each.info("a line")
    assert len(event_log.texts) == 3
    assert len(console.texts) == in_console


def test_records_are_not_copied_for_a_silent_console(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.Logger("console")
    log = DagsterLogManager.create(loggers=[logger], handlers=[Kept()])
    context: Any = SimpleNamespace(run_config={}, log=log)
    quiet_console(context)
    monkeypatch.setattr(logger, "log", lambda *_, **__: pytest.fail("it was asked"))
    log.with_tags(step_key="alpha").info("a line")
