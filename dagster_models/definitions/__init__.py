"""What Dagster loads: assets, checks, jobs, resources, the executor.

May import: all but cli.
"""
