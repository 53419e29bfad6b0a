"""What Dagster loads: assets, checks, jobs, resources and the executor.

May import: all but cli.
"""
