"""Python runs this at the start of every process that has the folder on its path."""

import os
import sys

if (
    os.environ.get("DAGSTER_MODELS_TRUTH_POINTS")
    and "dagster_models.processes.server" in sys.orig_argv
):
    import truth_points

    truth_points.watch_the_warehouse()
