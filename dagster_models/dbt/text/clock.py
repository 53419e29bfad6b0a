"""``modules.datetime`` of dbt. What asks the clock gets one moment for a text, which is noted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from dagster_models.dbt.text.context import Seen


def with_noted_clock(modules: SimpleNamespace, seen: Seen) -> SimpleNamespace:
    """dbt's `modules` for a text that is given what *seen* notes."""

    def now(tz: dt.tzinfo | None = None) -> Any:
        here = seen.moment.astimezone(tz)
        return seen.note(
            f"{_NAME}.datetime.now()", here if tz is not None else here.replace(tzinfo=None)
        )

    def utcnow() -> Any:
        return seen.note(f"{_NAME}.datetime.utcnow()", seen.moment.replace(tzinfo=None))

    def today() -> Any:
        return seen.note(f"{_NAME}.date.today()", seen.moment.astimezone().date())

    of_datetime = {"now": now, "utcnow": utcnow, "today": now}
    own = {
        "date": _WithNotedClock(dt.date, {"today": today}),
        "datetime": _WithNotedClock(dt.datetime, of_datetime),
    }
    moments = SimpleNamespace(**{**vars(modules.datetime), **own})
    return SimpleNamespace(**{**vars(modules), "datetime": moments})


_NAME = "modules.datetime"


class _WithNotedClock:
    """`date` or `datetime`, of which some functions are others."""

    def __init__(self, kind: type[dt.date], own: Mapping[str, Callable[..., Any]]) -> None:
        self._kind, self._own = kind, own

    def __call__(self, *arguments: Any, **named: Any) -> dt.date:
        return self._kind(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._own.get(name) or getattr(self._kind, name)
