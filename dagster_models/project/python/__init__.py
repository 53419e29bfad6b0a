"""What a Python file reads, from its syntax tree.

May import: what project may.
"""
