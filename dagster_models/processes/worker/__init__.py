"""The process that runs a user's Python.

May import: processes/wire and processes/client.
"""
