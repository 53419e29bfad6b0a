"""The columns of a query, their types, and what each of them is made of.

May import: errors, util, core, sql/dialects, sql.
"""
