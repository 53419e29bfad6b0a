"""Where steps run: sessions of a warehouse, Python processes, Dagster's processes; one event queue.

May import: errors, util, core, processes with its client, _dagster.
"""
