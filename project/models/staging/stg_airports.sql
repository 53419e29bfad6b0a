/* @model
description: Airports with their place and time zone. Four in the Caribbean come from a seed.
owner: data@example.com
columns:
  airport: {description: The FAA's code of three letters., checks: [unique, not_null]}
  time_zone: {description: "Name in the tz database, e.g. America/Chicago."}
*/
select
    faa as airport,
    name,
    lat as latitude,
    lon as longitude,
    alt as altitude_ft,
    tzone as time_zone
from raw.airports

union all

select airport, name, latitude, longitude, altitude_ft, time_zone
from seeds.caribbean_airports
