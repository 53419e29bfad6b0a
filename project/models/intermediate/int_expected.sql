/* @model
description: >
  What the average carrier does from the same airport, in the same month and hour. Comparing with it
  is fair to carriers that fly in the evening, when everybody is late.
owner: data@example.com
*/
select
    origin,
    month,
    scheduled_hour,
    count(*) as flights,
    avg(late::int) as late_share,
    avg(departure_delay) as departure_delay,
    avg((status = 'cancelled')::int) as cancelled_share
from int_flights
group by origin, month, scheduled_hour
