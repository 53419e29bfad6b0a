"""SQL text -> names, columns and lineage. The only home of sqlglot.

May import: errors, util, core, sql/rewriting, sql/dialects.
"""
