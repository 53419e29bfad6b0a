/* @model
description: >
  When each flight left and landed, in UTC. The data has only the clock at the destination; the day
  follows from the time zone and from no flight taking a day.
owner: data@example.com
columns:
  flight_id: {checks: [unique, not_null]}
*/
with departures as (
    select
        flight_id,
        destination,
        arrival_clock,
        air_time,
        -- Adding the delay to UTC is right on the two nights when the clocks change as well.
        (scheduled_departure at time zone 'America/New_York') at time zone 'UTC'
            + departure_delay * interval '1 minute' as departed_utc,
        cast(departure as date) as departure_day
    from staging.stg_flights
    where status <> 'cancelled'
),

candidates as (
    select
        departures.*,
        ((departure_day + arrival_clock) at time zone time_zone) at time zone 'UTC' as same_day,
        ((departure_day + 1 + arrival_clock) at time zone time_zone)
            at time zone 'UTC' as next_day
    from departures
    join staging.stg_airports on stg_airports.airport = departures.destination
),

arrivals as (
    select *, case when same_day > departed_utc then same_day else next_day end as arrived_utc
    from candidates
),

timed as (
    select
        *,
        cast(extract(epoch from arrived_utc - departed_utc) / 60 as int) as gate_to_gate_minutes
    from arrivals
)

select
    flight_id,
    departed_utc,
    arrived_utc,
    gate_to_gate_minutes,
    gate_to_gate_minutes - air_time as taxi_minutes
from timed
