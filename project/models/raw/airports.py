"""Airports of the United States.

@model
description: One row per airport; the altitude is in feet.
owner: data@example.com
columns:
  faa: {checks: [unique, not_null]}
"""

from nycflights import read


def model(warehouse):
    return read("airports.csv")
