"""``python -m dagster_models.processes.server``."""

from dagster_models.processes.server.process import main

raise SystemExit(main())
