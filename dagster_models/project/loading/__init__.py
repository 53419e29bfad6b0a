"""Reading the SQL of a project fast: caches and parser processes.

May import: whatever ``project`` may import.
"""
