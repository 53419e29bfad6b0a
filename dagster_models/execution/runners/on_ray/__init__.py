"""Python steps on a Ray cluster: the runner, the process that talks to Ray, and the node's side.

May import: what execution/runners may, but for Dagster, which a node need not have loaded.
"""
