"""The tests of a dbt project, and the constraints of its contracts, as checks: entries of a
header where a kind of ours finds the same, and else files with dbt's query.

May import: project, core, errors and dbt/project; not Dagster.
"""
