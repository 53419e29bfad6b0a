"""The only door to the private parts of Dagster, overrides of its methods included.

May import: errors, util, core and scheduling.
"""
