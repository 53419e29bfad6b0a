"""Reading YAML in which every value knows its place.

May import: what project may.
"""
