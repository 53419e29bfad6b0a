"""What differs between SQL dialects: a value for each, and a table of them.

May import: errors, util, core, sql/rewriting.
"""
