"""What `dagster-models import-dbt` makes of a dbt project: each model's text without Jinja, all
that is said beside it, and the files of a project of ours. dbt itself need not be installed.

May import: its rooms, project, core, util, errors; not Dagster.
"""
