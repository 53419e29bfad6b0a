"""The register of aircraft: who built them, when, for how many.

@model
description: One row per tail number that the US register knew in 2013.
owner: data@example.com
columns:
  tailnum: {checks: [unique, not_null]}
"""

from nycflights import read


def model(warehouse):
    csv = read("planes.csv")
    csv["year"] = csv["year"].astype("Int32")
    return csv
