"""What may start now: the plan of one run, pure.

May import: errors, util, core.
"""
