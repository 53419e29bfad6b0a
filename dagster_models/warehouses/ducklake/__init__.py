"""DuckLake: DuckDB's sessions, on a catalog and files that several machines share.

May import: what warehouses may.
"""
