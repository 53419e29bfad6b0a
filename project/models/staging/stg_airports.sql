/* @model
description: Airports with their place and time zone. Four in the Caribbean come from a seed.
owner: data@example.com
columns:
  airport: {description: The FAA's code of three letters., checks: [unique, not_null]}
  time_zone: {description: "Name in the tz database, e.g. America/Chicago."}
  utc_hours: {description: "How many hours its clocks are ahead of UTC in winter, e.g. -6 in Chicago."}
  summer_hours: {description: "How many hours they are put forward in summer: 1, or 0 where they are not."}
*/
select
    faa as airport,
    name,
    lat as latitude,
    lon as longitude,
    alt as altitude_ft,
    tzone as time_zone,
    tz as utc_hours,
    case when dst = 'A' then 1 else 0 end as summer_hours
from raw.airports

union all

select airport, name, latitude, longitude, altitude_ft, time_zone, utc_hours, summer_hours
from seeds.caribbean_airports
