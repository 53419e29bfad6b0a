"""The weather at the three airports, hour by hour.

@model
description: >
  One row per airport and hour, a few hours are missing. Units are the data's: degrees Fahrenheit,
  miles per hour, inches, millibars, miles.
owner: data@example.com
"""

from nycflights import read, utc


def model(warehouse):
    csv = read("weather.csv")
    csv["hour_utc"] = utc(csv["time_hour"])
    # `hour` and its companions say in local time what hour_utc says without a gap in spring.
    return csv.drop(columns=["year", "month", "day", "hour", "time_hour"])
