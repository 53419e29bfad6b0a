"""A file -> a draft of its step: everything but what other files decide. One module per kind.

May import: what project may.
"""
