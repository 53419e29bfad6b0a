/* @model
description: Is a late departure made up in the air? One row per band of delay at departure.
owner: analytics@example.com
*/
with banded as (
    select
        *,
        case
            when departure_delay < 0 then 1
            when departure_delay < 15 then 2
            when departure_delay < 60 then 3
            when departure_delay < 180 then 4
            else 5
        end as band
    from int_flights
    where status = 'completed'
)

select
    band,
    case band
        when 1 then 'early'
        when 2 then '0 to 14 min'
        when 3 then '15 to 59 min'
        when 4 then '1 to 3 h'
        else '3 h and more'
    end as departed,
    count(*) as flights,
    avg(made_up_minutes) as mean_made_up_minutes,
    avg((arrival_delay <= 0)::int) as arrived_on_time_share
from banded
group by band
order by band
