"""What `dagster-models import-dbt` makes of a dbt project: its manifest read as values, each
model's text without Jinja, and the files of a project of ours. dbt itself need not be installed.

May import: sql, project, core, util, errors; not Dagster.
"""
