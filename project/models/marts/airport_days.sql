/* @model
description: What happened at each airport of New York on each day. Built day by day, by the job `days`.
owner: analytics@example.com
materialized: incremental
partitions: {of: days, by: flight_date}
columns:
  flights: {checks: [not_null]}
*/
select
    flight_date,
    origin,
    count(*) as flights,
    avg(late::int) as late_share,
    avg((status = 'cancelled')::int) as cancelled_share,
    max(departure_delay) as longest_delay
from int_flights
group by flight_date, origin
