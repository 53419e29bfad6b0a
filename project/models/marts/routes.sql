/* @model
description: The routes, busiest first; how many carriers share them, and how they run.
owner: analytics@example.com
columns:
  route: {checks: [unique, not_null]}
  haul: {checks: [not_null, {accepted_values: {values: [short, medium, long]}}]}
  ground_speed_mph: {description: "Distance over time in the air, all flights together."}
*/
select
    origin || '-' || destination as route,
    origin,
    destination,
    airports.name as destination_name,
    count(*) as flights,
    count(distinct carrier) as carriers,
    max(distance_miles) as distance_miles,
    haul(max(distance_miles)) as haul,
    percentile_cont(0.5) within group (order by air_minutes) as median_air_minutes,
    60e0 * sum(distance_miles) filter (where air_minutes is not null) / sum(air_minutes)
        as ground_speed_mph,
    avg(late::int) as late_share,
    avg(arrival_delay) as mean_arrival_delay,
    avg((status = 'cancelled')::int) as cancelled_share
from int_flights
join stg_airports as airports on airports.airport = int_flights.destination
group by origin, destination, airports.name
order by flights desc, route
