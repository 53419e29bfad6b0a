"""``python -m dagster_models.processes.worker``."""

from dagster_models.processes.worker.template import main

main()
