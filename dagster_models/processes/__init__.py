"""The processes beside the run worker: how they speak, and where they find each other.

May import: errors, util, core.
"""
