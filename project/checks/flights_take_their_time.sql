/* @check
model: int_arrivals
severity: error
description: >
  Nobody lands before leaving. From gate to gate takes at least the time in the air, and less than
  20 hours (Honolulu takes 11). Fails if a time zone is wrong or a clock change is not seen.
*/
select flight_id, departed_utc, arrived_utc, gate_to_gate_minutes, taxi_minutes
from int_arrivals
where taxi_minutes < 0
   or gate_to_gate_minutes not between 1 and 20 * 60
