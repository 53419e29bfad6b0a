"""How each kind of materialization is built, in SQL that all warehouses share.

May import: what warehouses may.
"""
