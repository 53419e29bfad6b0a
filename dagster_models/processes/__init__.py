"""The processes beside the run worker, and how they are reached.

May import: errors, util, core, warehouses.
"""
