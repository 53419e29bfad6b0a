"""DuckDB.

May import: what warehouses may.
"""
