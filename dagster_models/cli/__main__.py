"""``python -m dagster_models.cli``."""

from dagster_models.cli.main import main

raise SystemExit(main())
