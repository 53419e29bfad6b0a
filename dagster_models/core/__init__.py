"""The pure core: no Dagster, no driver, no process, no clock."""
