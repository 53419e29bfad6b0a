"""Frozen values that all rooms speak in; nothing here reads, runs or waits.

May import: errors, util.
"""
