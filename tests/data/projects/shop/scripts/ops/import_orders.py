"""Fetches the till's files.

@model
downstream: [stg_orders, stg_payments]
"""

print("imported")
