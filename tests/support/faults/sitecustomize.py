"""Imported by every Python that finds this folder on PYTHONPATH; acts in a warehouse process only.

So real processes can be made to die at an exact point, and the product has no code for tests.
"""

import os
import sys

if "FAULT" in os.environ and "dagster_models.processes.server" in sys.orig_argv:
    import faults

    faults.install(os.environ["FAULT"])
