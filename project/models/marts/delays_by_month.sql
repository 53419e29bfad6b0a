/* @model
description: Which months are bad? One row per month.
owner: analytics@example.com
automation: eager # Dagster builds it whenever the flights were, once its sensor is turned on
columns:
  month: {checks: [unique, not_null]}
*/
select
    month,
    substr('JanFebMarAprMayJunJulAugSepOctNovDec', 3 * month - 2, 3) as month_name,
    count(*) as flights,
    avg(late::int) as late_share,
    avg(departure_delay) as mean_departure_delay,
    avg(arrival_delay) as mean_arrival_delay,
    avg((status = 'cancelled')::int) as cancelled_share
from int_flights
group by month
order by month
