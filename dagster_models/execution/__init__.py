"""One run: the loop, its step runners, resuming, options, timers.

May import: all but definitions and cli.
"""
