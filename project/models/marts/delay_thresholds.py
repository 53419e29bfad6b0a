"""SQL that is written by Python: one column per threshold of dagster_models.yaml.

`def sql(vars)` is called when the project loads; what it returns is treated as a .sql file would
be, with its dependencies, checks and lineage. Use it where a list decides on columns.

@model
description: How often is it bad, and how bad? One row per carrier, one column per threshold.
owner: analytics@example.com
columns:
  carrier: {checks: [unique, not_null]}
"""


def sql(vars):
    shares = [
        f"    avg((arrival_delay >= {minutes})::int) as late_{minutes}_share"
        for minutes in vars["delay_thresholds"]
    ]
    columns = ",\n".join(["    carrier", "    airline", "    count(*) as flights", *shares])
    return f"""\
select
{columns}
from int_flights
group by carrier, airline
order by carrier
"""
