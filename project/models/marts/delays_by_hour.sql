/* @model
description: >
  When in the day are flights late? One row per origin and scheduled hour with 30 flights or more.
owner: analytics@example.com
*/
select
    origin,
    scheduled_hour,
    count(*) as flights,
    avg(late::int) as late_share,
    avg(departure_delay) as mean_departure_delay,
    percentile_cont(0.5) within group (order by departure_delay) as median_departure_delay,
    avg((status = 'cancelled')::int) as cancelled_share
from int_flights
group by origin, scheduled_hour
having count(*) >= 30
order by origin, scheduled_hour
