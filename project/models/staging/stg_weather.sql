/* @model
description: Weather per airport and hour, units in the names.
owner: data@example.com
columns:
  origin:
    checks:
      - accepted_values: {values: [EWR, JFK, LGA]}
  wind_mph: {description: "Null where the station reported more than any hurricane."}
*/
select
    origin,
    hour_utc,
    temp as temperature_f,
    dewp as dew_point_f,
    humid as humidity_percent,
    wind_dir as wind_degrees,
    -- One reading says 1,048 miles per hour.
    case when wind_speed < 200 then wind_speed end as wind_mph,
    wind_gust as gust_mph,
    precip as rain_in,
    pressure as pressure_mb,
    visib as visibility_miles
from raw.weather
