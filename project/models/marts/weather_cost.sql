/* @model
description: >
  What does weather cost? Departures by the weather at the origin in their hour, each beside fair
  weather in the same month and hour at the same airport.
owner: analytics@example.com
columns:
  weather: {checks: [unique, not_null]}
  extra_minutes: {description: "Mean delay at departure above that of fair weather."}
  extra_hours: {description: "The same for all these flights together, in hours."}
*/
with classified as (
    select
        *,
        -- The first that holds: snow that blows counts as snow.
        case
            when rain_in > 0 and temperature_f <= 34 then 'Snow or sleet'
            when rain_in >= 0.1 then 'Heavy rain'
            when rain_in > 0 then 'Light rain'
            when visibility_miles < 3 then 'Fog or haze'
            when wind_mph >= 20 or gust_mph >= 30 then 'Strong wind'
            else 'Fair'
        end as weather
    from int_flights
    where rain_in is not null -- no report for the hour: neither fair nor foul
),

fair as (
    select origin, month, scheduled_hour, avg(departure_delay) as departure_delay
    from classified
    where weather = 'Fair'
    group by origin, month, scheduled_hour
)

select
    classified.weather,
    count(*) as flights,
    avg((status = 'cancelled')::int) as cancelled_share,
    avg(late::int) as late_share,
    avg(classified.departure_delay) as mean_departure_delay,
    avg(classified.departure_delay - fair.departure_delay) as extra_minutes,
    sum(classified.departure_delay - fair.departure_delay) / 60e0 as extra_hours
from classified
left join fair using (origin, month, scheduled_hour)
group by classified.weather
order by extra_minutes desc
