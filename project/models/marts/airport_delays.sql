/* @model
description: Where are flights late? One row per airport and role (origin or destination).
owner: analytics@example.com
columns:
  role:
    checks:
      - accepted_values: {values: [origin, destination]}
*/
with visits as (
    select origin as airport, 'origin' as role, * from int_flights
    union all
    select destination as airport, 'destination' as role, * from int_flights
)

select
    visits.airport,
    visits.role,
    airports.name,
    airports.latitude,
    airports.longitude,
    count(*) as flights,
    avg((status = 'cancelled')::int) as cancelled_share,
    avg(late::int) as late_share,
    avg(departure_delay) as mean_departure_delay,
    avg(arrival_delay) as mean_arrival_delay,
    avg(taxi_minutes) as mean_taxi_minutes
from visits
join stg_airports as airports on airports.airport = visits.airport
group by visits.airport, visits.role, airports.name, airports.latitude, airports.longitude
order by role desc, flights desc
