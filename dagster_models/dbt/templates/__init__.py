"""The templates of models_jinja/, rendered when a project is loaded: dbt's Jinja with the macros of
the project's own folders, and the names of its own models.

May import: util, core, sql, project, errors, dbt/project and dbt/text; not Dagster.
"""
