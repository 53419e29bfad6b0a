/* @check
model: int_flights
severity: warn
description: "Departures without a weather report for their hour: left out of weather_cost."
*/
select flight_id, origin, scheduled_departure
from int_flights
where rain_in is null
