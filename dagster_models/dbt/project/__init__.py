"""A dbt project as values: its manifest and its dbt_project.yml, with the name that each node has
here, and what the other rooms of an import have in common.

May import: core, errors; not Dagster.
"""
