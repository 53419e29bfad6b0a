"""Drafts -> linked steps: names resolved, checks attached, in topological order.

May import: whatever ``project`` may import.
"""
