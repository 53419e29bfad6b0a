/* @model
description: The 25 days to have stayed at home, and what went on.
owner: analytics@example.com
export: {path: target/exports/$target/worst_days, format: csv} # for whoever has no database
columns:
  date: {checks: [unique, not_null]}
  hours_lost_with_cancellations:
    description: Hours of delay at departure of all flights, and five for each cancelled one.
*/
with days as (
    select
        *,
        -- Who is cancelled waits too; five hours is a guess at the wait for another flight.
        hours_lost + 5 * cancelled as hours_lost_with_cancellations,
        lag(cancelled) over (order by date) as cancelled_the_day_before
    from daily_delays
)

select
    row_number() over (order by hours_lost_with_cancellations desc, date) as rank,
    date,
    flights,
    cancelled,
    late_share,
    mean_departure_delay,
    hours_lost_with_cancellations,
    concat_ws(
        ', ',
        case
            when rain_in >= 0.1 and temperature_f <= 34 then 'snow or freezing rain'
            when rain_in >= 0.5 then 'heavy rain'
            when rain_in >= 0.1 then 'rain'
        end,
        case when gust_mph >= 40 then 'gale' when gust_mph >= 30 then 'strong gusts' end,
        case when low_visibility_hours >= 4 then 'poor visibility' end,
        case when temperature_f >= 80 then 'summer heat' end,
        case
            when cancelled_the_day_before >= 100
                then 'after ' || cancelled_the_day_before || ' cancelled the day before'
        end,
        case when holiday is not null then 'near ' || holiday end
    ) as circumstances
from days
order by rank
limit 25
