"""``python -m dagster_models.processes.worker``."""

from dagster_models.processes.worker.process import main

main()
