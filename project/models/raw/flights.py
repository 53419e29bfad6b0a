"""Every scheduled flight from EWR, JFK and LGA in 2013, cancelled ones included.

@model
description: >
  One row per scheduled flight. Times of departure are New York's local time, those of arrival
  the destination's; delays and time in the air are minutes, the distance is miles.
owner: data@example.com
columns:
  carrier: {type: text}
  flight_number: {type: int}
  tail_number: {type: text}
  origin: {type: text}
  destination: {type: text}
  scheduled_departure: {type: timestamp}
  scheduled_hour_utc: {type: timestamp}
  departure: {type: timestamp, description: "Null: the flight was cancelled."}
  departure_delay: {type: int}
  arrival_delay:
    type: int
    description: "Null: cancelled, or diverted and so never at its destination."
  air_time: {type: int}
  distance: {type: int}
  scheduled_arrival_minute: {type: int}
  arrival_minute:
    type: int
    description: "Minutes after midnight, local time at the destination, without a date."
"""

import pandas as pd
from nycflights import read, utc


def minute(hhmm: pd.Series) -> pd.Series:
    """517.0, which is 05:17, -> 317. Midnight comes as 2400."""
    return ((hhmm // 100 % 24) * 60 + hhmm % 100).astype("Int32")


def model(warehouse):
    csv = read("flights.csv.zip")
    day = pd.to_datetime(csv[["year", "month", "day"]])
    scheduled = day + pd.to_timedelta(csv["hour"] * 60 + csv["minute"], unit="m")
    departure = scheduled + pd.to_timedelta(csv["dep_delay"], unit="m")
    cancelled = int(departure.isna().sum())
    print(f"{cancelled:,} cancelled; {day.min():%d %B %Y} to {day.max():%d %B %Y}")
    return pd.DataFrame(
        {
            "carrier": csv["carrier"],
            "flight_number": csv["flight"].astype("int32"),
            "tail_number": csv["tailnum"],
            "origin": csv["origin"],
            "destination": csv["dest"],
            "scheduled_departure": scheduled.astype("datetime64[us]"),
            "scheduled_hour_utc": utc(csv["time_hour"]),
            "departure": departure.astype("datetime64[us]"),
            "departure_delay": csv["dep_delay"].astype("Int32"),
            "arrival_delay": csv["arr_delay"].astype("Int32"),
            "air_time": csv["air_time"].astype("Int32"),
            "distance": csv["distance"].astype("int32"),
            "scheduled_arrival_minute": minute(csv["sched_arr_time"]),
            "arrival_minute": minute(csv["arr_time"]),
        }
    )
