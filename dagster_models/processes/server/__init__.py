"""The process that has the database open.

May import: processes, processes/client/launch and warehouses.
"""
