/* @check
model: carrier_delays
severity: error
description: The carriers' flights add up to all flights, and so do the three fates of a flight.
*/
with total as (
    select
        (select sum(flights) from carrier_delays) as by_carrier,
        (select count(*) from stg_flights) as scheduled,
        (select count(*) from stg_flights where departure is null) as cancelled,
        (select sum(cancelled) from carrier_delays) as cancelled_by_carrier
)

select *
from total
where by_carrier <> scheduled
   or cancelled <> cancelled_by_carrier
