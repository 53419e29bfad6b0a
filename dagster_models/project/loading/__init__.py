"""Reading the SQL of a project fast: caches and parser processes.

May import: what project may.
"""
