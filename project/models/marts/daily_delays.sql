/* @model
description: The year day by day, with that day's weather and the holiday it is near.
owner: analytics@example.com
columns:
  date: {checks: [unique, not_null]}
  holiday: {description: "The holiday that is at most two days away, if any."}
*/
with days as (
    select
        flight_date as date,
        count(*) as flights,
        count(*) filter (where status = 'cancelled') as cancelled,
        avg(late::int) as late_share,
        avg(departure_delay) as mean_departure_delay,
        sum(greatest(departure_delay, 0)) / 60e0 as hours_lost
    from int_flights
    group by flight_date
),

near_holidays as (
    select
        days.date,
        days.date - holidays.date as days_after_holiday,
        holidays.holiday,
        row_number() over (
            partition by days.date order by abs(days.date - holidays.date), holidays.date
        ) as nearest
    from days
    join holidays on abs(days.date - holidays.date) <= 2
)

select
    days.*,
    near_holidays.holiday,
    near_holidays.days_after_holiday,
    weather.temperature_f,
    weather.wind_mph,
    weather.gust_mph,
    weather.rain_in,
    weather.low_visibility_hours
from days
left join near_holidays on near_holidays.date = days.date and near_holidays.nearest = 1
left join int_daily_weather as weather on weather.date = days.date
order by days.date
