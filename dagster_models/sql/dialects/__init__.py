"""What differs between SQL dialects.

May import: what sql may.
"""
