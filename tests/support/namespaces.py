"""Namespaces of Linux, in which tests make what a container has."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def why_no_namespaces() -> str:
    """Why none can be made here; "" if they can."""
    if os.getuid() != 0:
        return "only root can make namespaces"
    for tool in ("unshare", "setpriv"):
        if shutil.which(tool) is None:
            return f"no {tool} found: apt-get install util-linux"
    command = ["unshare", "--mount", "--pid", "--fork", "mount", "--make-rprivate", "/"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"no namespaces can be made here: {done.stderr.strip()}"


_WHY = why_no_namespaces()
needs_namespaces = pytest.mark.skipif(bool(_WHY), reason=_WHY)
