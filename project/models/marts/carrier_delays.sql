/* @model
description: Which carriers are late? One row per carrier.
owner: analytics@example.com
columns:
  carrier: {checks: [unique, not_null]}
  late_share: {description: "Of the flights that arrived, those late by $late_minutes or more."}
  median_arrival_delay: {description: "Minutes; negative is early."}
*/
select
    carrier,
    airline,
    count(*) as flights,
    count(*) filter (where status = 'cancelled') as cancelled,
    count(*) filter (where status = 'diverted') as diverted,
    count(*) filter (where late) as late,
    avg(late::int) as late_share,
    avg(departure_delay) as mean_departure_delay,
    avg(arrival_delay) as mean_arrival_delay,
    percentile_cont(0.5) within group (order by arrival_delay) as median_arrival_delay,
    percentile_cont(0.9) within group (order by arrival_delay)
        as worst_tenth_arrival_delay,
    avg(made_up_minutes) as mean_made_up_minutes
from int_flights
group by carrier, airline
order by late_share desc
