"""A Spark Connect server for tests that starts at once: Sail."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from connect_server import ConnectServer


class SailServer(ConnectServer):
    """``session_seconds``: how long it keeps a session that is idle."""

    start_seconds = 20

    def __init__(self, session_seconds: int = 3600) -> None:
        self._session_seconds = session_seconds
        super().__init__()

    def command(self) -> list[str]:
        program = Path(sys.executable).with_name("sail")
        return [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        return {"SAIL_SPARK__SESSION_TIMEOUT_SECS": str(self._session_seconds)}


def why_no_sail() -> str:
    """Why there is no server to test with; "" if there is one."""
    missing = [it for it in ("pysail", "pyspark", "deltalake") if find_spec(it) is None]
    return f"{', '.join(missing)} not installed: `make setup` does it" if missing else ""


def start_sail(session_seconds: int = 3600) -> SailServer:
    return SailServer(session_seconds)
