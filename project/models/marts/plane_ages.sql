/* @model
description: Are old aircraft late? One row per band of five years of age.
owner: analytics@example.com
columns:
  age_from: {checks: [unique, not_null]}
*/
with planes as (
    select *, least(cast(floor(age / 5.0) as int) * 5, 25) as age_from
    from plane_usage
    where age is not null
)

select
    age_from,
    case when age_from = 25 then '25 and more' else age_from || ' to ' || (age_from + 4) end as age_band,
    count(*) as planes,
    sum(flights)::bigint as flights,
    sum(arrived)::bigint as arrived,
    sum(late)::bigint as late,
    sum(late) / sum(arrived) as late_share,
    avg(seats) as mean_seats
from planes
group by age_from
order by age_from
