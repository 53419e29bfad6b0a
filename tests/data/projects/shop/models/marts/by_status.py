"""One column per status.

@model
vars: {statuses: [paid, sent, lost]}
"""

from shop_words import column


def sql(vars):
    columns = ", ".join(
        f"count(*) filter (where status = '{s}') as {column(s)}" for s in vars["statuses"]
    )
    return f"select {columns} from stg_orders"
