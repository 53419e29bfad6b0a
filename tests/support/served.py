"""Servers of tests, each for as long as a fixture lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest


class Server(Protocol):
    def stop(self) -> None: ...


AnyServer = TypeVar("AnyServer", bound=Server)


def served(why_not: str, start: Callable[[], AnyServer]) -> Iterator[AnyServer]:
    """The server, which is stopped in the end. Where there is none, the test is skipped."""
    if why_not:
        pytest.skip(why_not)
    server = start()
    yield server
    server.stop()
