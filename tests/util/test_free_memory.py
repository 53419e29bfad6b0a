"""What a process no longer uses is the system's again."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Once a block of 20 MiB was freed, glibc keeps up to 40 MiB that are free: so the next 20, too.
PROGRAM = """
from dagster_models.util.free_memory import give_back
def mib():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024
for _ in range(2):
    block = b"." * (20 << 20)
    del block
held = mib()
give_back()
print(held - mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/smaps_rollup is Linux's")
def test_what_the_c_library_keeps_free_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 15
