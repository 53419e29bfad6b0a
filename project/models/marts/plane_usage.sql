/* @model
description: Which aircraft fly most, and how old are they? One row per registered tail number.
owner: analytics@example.com
columns:
  tail_number: {checks: [unique, not_null]}
  age: {description: "Years in 2013; null where the register has no year."}
*/
select
    planes.tail_number,
    mode(flights.airline order by flights.airline) as airline,
    planes.manufacturer,
    planes.aircraft_model,
    planes.seats,
    planes.built,
    2013 - planes.built as age,
    count(*) filter (where flights.status <> 'cancelled') as flights,
    count(distinct flights.flight_date) filter (where flights.status <> 'cancelled') as days_flown,
    count(distinct flights.destination) as destinations,
    sum(flights.air_minutes) / 60 as air_hours,
    sum(flights.distance_miles) filter (where flights.status = 'completed') as miles,
    avg(flights.late::int) as late_share
from stg_planes as planes
join int_flights as flights using (tail_number)
group by all
order by flights desc, planes.tail_number
