"""Helpers that know nothing of models, SQL or Dagster.

May import: errors.
"""
