"""Unit tests of models, as the files of unit_tests/ declare them.

May import: what project may.
"""
