"""Whether an import says what dbt says: the texts of models, the rows of relations, and the results
of tests. Nothing is run here: whoever compares brings what both sides have.

May import: sql, project, dbt and the rooms below it; not Dagster, not processes.
"""
