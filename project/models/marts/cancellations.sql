/* @model
description: Who cancels, and when? One row per carrier and month.
owner: analytics@example.com
*/
select
    carrier,
    airline,
    month,
    count(*) as flights,
    count(*) filter (where status = 'cancelled') as cancelled,
    avg((status = 'cancelled')::int) as cancelled_share,
    count(distinct flight_date) filter (where status = 'cancelled') as days_with_cancellations
from int_flights
group by carrier, airline, month
order by carrier, month
