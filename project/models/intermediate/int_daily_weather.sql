/* @model
description: "The weather of a day in New York: the three airports' hours between 05:00 and midnight."
owner: data@example.com
columns:
  date: {checks: [unique, not_null]}
*/
with local_hours as (
    -- Clocks in New York are five hours behind UTC, and four in summer.
    select
        *,
        hour_utc - interval '1 hour' * case
            when hour_utc >= timestamp '2013-03-10 07:00:00'
                and hour_utc < timestamp '2013-11-03 06:00:00'
                then 4 else 5 end as local_hour
    from staging.stg_weather
)

select
    cast(local_hour as date) as date,
    avg(temperature_f) as temperature_f,
    avg(wind_mph) as wind_mph,
    max(gust_mph) as gust_mph,
    sum(rain_in) / count(distinct origin) as rain_in,
    -- Hours of an airport that pilots can't call clear. `1e0`: in PostgreSQL the quotient of two
    -- integers has no fraction.
    1e0 * count(*) filter (where visibility_miles < 3) / count(distinct origin)
        as low_visibility_hours
from local_hours
where extract(hour from local_hour) >= 5
group by cast(local_hour as date)
