"""The process that has the database open.

May import: processes/wire, processes/address, processes/client/launch and warehouses.
"""
