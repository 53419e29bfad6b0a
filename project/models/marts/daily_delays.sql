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
        sum(greatest(departure_delay, 0)) / 60 as hours_lost
    from int_flights
    group by flight_date
),

near_holidays as (
    select
        days.date,
        arg_min(holidays.holiday, abs(days.date - holidays.date)) as holiday,
        arg_min(days.date - holidays.date, abs(days.date - holidays.date)) as days_after_holiday
    from days
    join holidays on abs(days.date - holidays.date) <= 2
    group by days.date
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
left join near_holidays using (date)
left join int_daily_weather as weather using (date)
order by date
