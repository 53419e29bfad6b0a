"""Frozen values that all rooms share; nothing here reads files, runs code or waits.

May import: errors, util.
"""
