/* @check
model: int_arrivals
severity: error
description: >
  Nobody lands before leaving: from gate to gate takes longer than the time in the air, and less
  than 20 hours (Honolulu takes 11). Fails if a time zone is wrong or a clock change is not seen.
*/
select flight_id, departed_utc, arrived_utc, gate_to_gate_minutes, taxi_minutes
from int_arrivals
where taxi_minutes <= 0
   -- A diverted flight has no time in the air; one came in on the next day, and rightly so.
   or (taxi_minutes is not null and gate_to_gate_minutes > 20 * 60)
