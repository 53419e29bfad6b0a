"""All that a dbt project says beside SQL: the headers of models and snapshots, seeds, sources,
unit tests, exposures and targets. ``beside_sql`` is the door.

May import: sql, project, core, util, errors, dbt/project and dbt/checks; not Dagster.
"""
