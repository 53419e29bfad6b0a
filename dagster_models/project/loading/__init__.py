"""Loading a project fast: caches and parser processes.

May import: what project may.
"""
