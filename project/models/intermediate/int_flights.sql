/* @model
description: >
  One row per scheduled flight with all that is known of it: what became of it, the carrier's name,
  the calendar, the weather at its origin in its scheduled hour. The marts read this table.
owner: data@example.com
columns:
  flight_id: {checks: [unique, not_null]}
  late: {description: "Arrived $late_minutes or more behind schedule. Null: never arrived."}
  made_up_minutes: {description: "Delay at departure less delay at arrival: positive is time won."}
  weekday: {description: "1 is Monday, 7 is Sunday."}
*/
select
    flight_id,
    carrier,
    airlines.airline,
    flights.tail_number,
    flights.origin,
    flights.destination,
    flights.distance as distance_miles,
    flights.status,

    flights.scheduled_departure,
    cast(flights.scheduled_departure as date) as flight_date,
    cast(extract(month from flights.scheduled_departure) as int) as month,
    cast(extract(isodow from flights.scheduled_departure) as int) as weekday,
    cast(extract(hour from flights.scheduled_departure) as int) as scheduled_hour,

    flights.departure_delay,
    flights.arrival_delay,
    flights.arrival_delay >= $late_minutes as late,
    flights.departure_delay - flights.arrival_delay as made_up_minutes,
    flights.air_time as air_minutes,
    arrivals.departed_utc,
    arrivals.arrived_utc,
    arrivals.gate_to_gate_minutes,
    arrivals.taxi_minutes,

    weather.temperature_f,
    weather.wind_mph,
    weather.gust_mph,
    weather.rain_in,
    weather.visibility_miles
from staging.stg_flights as flights
join staging.stg_airlines as airlines using (carrier)
left join intermediate.int_arrivals as arrivals using (flight_id)
left join staging.stg_weather as weather
    on weather.origin = flights.origin
    and weather.hour_utc = flights.scheduled_hour_utc
