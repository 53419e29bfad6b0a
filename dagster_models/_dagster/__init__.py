"""The only door to Dagster's private parts.

May import: all but execution, definitions and cli.
"""
