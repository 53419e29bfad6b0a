"""@model
upstream: [scripts.import_orders, revenue]
retries: 2
on_error: abort
"""

from dagster_models import warehouse

warehouse.execute("insert into audit.log select count(*) from finance_report")
print(warehouse.table("top").fetchall())
