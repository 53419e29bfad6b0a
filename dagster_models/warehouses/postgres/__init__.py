"""PostgreSQL, 14 or later.

May import: what warehouses may.
"""
