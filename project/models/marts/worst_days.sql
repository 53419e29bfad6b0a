/* @model
description: The 25 days to have stayed at home, and what went on.
owner: analytics@example.com
columns:
  date: {checks: [unique, not_null]}
*/
select
    row_number() over (order by hours_lost + 5 * cancelled desc) as rank,
    date,
    flights,
    cancelled,
    late_share,
    mean_departure_delay,
    -- A cancelled passenger waits too: counted as five hours, the usual wait for another flight.
    hours_lost + 5 * cancelled as hours_lost_with_cancellations,
    concat_ws(
        ', ',
        case when rain_in >= 0.5 then 'heavy rain' when rain_in >= 0.1 then 'rain' end,
        case when temperature_f <= 34 and rain_in > 0 then 'freezing' end,
        case when gust_mph >= 40 then 'gale' end,
        case when low_visibility_hours >= 4 then 'fog' end,
        case when holiday is not null then 'near ' || holiday end
    ) as circumstances
from daily_delays
order by rank
limit 25
