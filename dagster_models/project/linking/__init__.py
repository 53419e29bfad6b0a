"""Drafts -> steps that know each other: names resolved, checks attached, in topological order.

May import: what project may.
"""
