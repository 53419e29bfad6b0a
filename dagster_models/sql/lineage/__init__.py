"""The columns of a query, their types, and what each is made of.

May import: what sql may.
"""
