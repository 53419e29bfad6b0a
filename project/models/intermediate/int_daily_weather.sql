/* @model
description: "The weather of a day in New York: the three airports' hours between 05:00 and midnight."
owner: data@example.com
columns:
  date: {checks: [unique, not_null]}
*/
with local_hours as (
    select *, (hour_utc at time zone 'UTC') at time zone 'America/New_York' as local_hour
    from staging.stg_weather
)

select
    cast(local_hour as date) as date,
    avg(temperature_f) as temperature_f,
    avg(wind_mph) as wind_mph,
    max(gust_mph) as gust_mph,
    sum(rain_in) / count(distinct origin) as rain_in,
    -- Hours of an airport that pilots can't call clear.
    1.0 * count(*) filter (where visibility_miles < 3) / count(distinct origin)
        as low_visibility_hours
from local_hours
where extract(hour from local_hour) >= 5
group by cast(local_hour as date)
