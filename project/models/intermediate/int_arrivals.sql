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
        air_time,
        -- Adding the delay to UTC is right on the two nights when the clocks change as well.
        scheduled_hour_utc
            + (extract(minute from scheduled_departure) + departure_delay) * interval '1 minute'
            as departed_utc,
        -- The clock of the destination, on the day of the departure.
        departure
            + (arrival_minute - 60 * extract(hour from departure) - extract(minute from departure))
            * interval '1 minute' as same_day_clock
    from staging.stg_flights
    where status <> 'cancelled'
),

clocks as (
    select *, same_day_clock + interval '1 day' as next_day_clock
    from departures
    join staging.stg_airports on stg_airports.airport = departures.destination
),

-- From 10 March to 3 November clocks are put forward. Not all warehouses know `at time zone`.
candidates as (
    select
        *,
        same_day_clock - interval '1 hour' * (
            utc_hours + case
                when same_day_clock >= timestamp '2013-03-10 03:00:00'
                    and same_day_clock < timestamp '2013-11-03 02:00:00'
                    then summer_hours else 0 end
        ) as same_day,
        next_day_clock - interval '1 hour' * (
            utc_hours + case
                when next_day_clock >= timestamp '2013-03-10 03:00:00'
                    and next_day_clock < timestamp '2013-11-03 02:00:00'
                    then summer_hours else 0 end
        ) as next_day
    from clocks
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
