"""What comes next.

@model
owner: [a@example.com, "team:data"]
upstream: [by_status]
"""

REVENUE = "select name, amount from revenue"


def model(warehouse):
    warehouse.execute("create temp table recent as select * from stg_orders")
    recent = warehouse.sql("select count(*) as orders from recent").fetchall()
    revenue = warehouse.sql(REVENUE + " where amount > $least").fetchall()
    return [{"name": name, "amount": amount, "recent": recent[0][0]} for name, amount in revenue]
