"""A real browser, where there is one: what it has made of a page in the end."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: It runs as root in a container, and does not reach out.
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --dump-dom"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def why_no_browser() -> str:
    """Why there is none to look with; "" if there is one."""
    return "" if _CHROMIUM else "no chromium found: apt-get install chromium"


needs_browser = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())


def document_of(address: str, folder: Path) -> str:
    """The document at *address* after its scripts have run; *folder* holds the browser's files."""
    done = subprocess.run(
        [str(_CHROMIUM), *_FLAGS.split(), f"--user-data-dir={folder / 'browser'}", address],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout
