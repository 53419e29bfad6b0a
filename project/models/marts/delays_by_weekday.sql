/* @model
description: Which hour of which weekday? One row per weekday (1 is Monday) and scheduled hour.
owner: analytics@example.com
columns:
  weekday:
    checks:
      - accepted_values: {values: [1, 2, 3, 4, 5, 6, 7]}
*/
select
    weekday,
    substr('MonTueWedThuFriSatSun', 3 * weekday - 2, 3) as weekday_name,
    scheduled_hour,
    count(*) as flights,
    avg(late::int) as late_share,
    avg(departure_delay) as mean_departure_delay
from int_flights
group by weekday, scheduled_hour
having count(*) >= 30
order by weekday, scheduled_hour
