"""The SQL of a dbt project without Jinja: the author's own text, one that is rendered with the
macros of the manifest, or what dbt has compiled.

May import: sql, errors and dbt/project; not Dagster.
"""
