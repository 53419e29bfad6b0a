"""Reaching a warehouse process, and what user code sees of the warehouse.

May import: processes.
"""
