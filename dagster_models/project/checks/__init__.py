"""The declarations of checks: their kinds, the words of dbt for them, and their keys.

May import: what project may.
"""
