/* @model
description: >
  Which aircraft fly most, and how old are they? One row per tail number; what the register would say
  is null for those that it lacks.
owner: analytics@example.com
columns:
  tail_number: {checks: [unique, not_null]}
  age: {description: "Years in 2013; null where the register has no year."}
*/
select
    flights.tail_number,
    mode() within group (order by flights.airline) as airline,
    planes.manufacturer,
    planes.aircraft_model,
    planes.seats,
    planes.built,
    2013 - planes.built as age,
    count(*) filter (where flights.status <> 'cancelled') as flights,
    count(distinct flights.flight_date) filter (where flights.status <> 'cancelled') as days_flown,
    count(distinct flights.destination) as destinations,
    sum(flights.air_minutes) / 60e0 as air_hours,
    cast(sum(flights.distance_miles) filter (where flights.status = 'completed') as bigint)
        as miles,
    count(flights.late) as arrived,
    count(*) filter (where flights.late) as late,
    avg(flights.late::int) as late_share
from int_flights as flights
left join stg_planes as planes on planes.tail_number = flights.tail_number
where flights.tail_number is not null -- most of the cancelled flights had no aircraft yet
group by
    flights.tail_number, planes.manufacturer, planes.aircraft_model, planes.seats, planes.built
order by days_flown desc, flights.tail_number
