"""Spark by Spark Connect, with Delta or Iceberg tables.

Spark writes rows where no reader looks; the one act that publishes them is ours: a commit in the
log of the table (``table_log``), which holds the proof too.

May import: what warehouses may.
"""
