"""`dagster-models`: one file per command.

May import: everything.
"""
