/* @model
description: >
  How good is a carrier beside others with the same airports, months and hours? Ranks are among the
  carriers with 500 flights or more; 1 is best.
owner: analytics@example.com
columns:
  carrier:
    checks:
      - unique
      - relationships: {to: carrier_delays, field: carrier}
  expected_late_share: {description: "What the average carrier has at the same airports and times."}
  late_points: {description: "Percentage points above (worse) or below (better) what is expected."}
*/
with expected as (
    -- Late flights are among those that arrived, so only those are compared.
    select
        carrier,
        avg(cell.late_share) filter (where flight.late is not null) as late_share,
        avg(cell.cancelled_share) as cancelled_share
    from int_flights as flight
    join int_expected as cell using (origin, month, scheduled_hour)
    group by carrier
),

compared as (
    select
        carrier,
        delays.airline,
        delays.flights,
        delays.late_share,
        expected.late_share as expected_late_share,
        100 * (delays.late_share - expected.late_share) as late_points,
        1e0 * delays.cancelled / delays.flights as cancelled_share,
        expected.cancelled_share as expected_cancelled_share,
        delays.mean_made_up_minutes
    from carrier_delays as delays
    join expected using (carrier)
    where delays.flights >= 500
),

ranked as (
    select
        *,
        rank() over (order by late_points) as punctuality_rank,
        rank() over (order by cancelled_share - expected_cancelled_share) as reliability_rank,
        rank() over (order by mean_made_up_minutes desc) as recovery_rank
    from compared
)

select
    *,
    rank() over (order by punctuality_rank + reliability_rank + recovery_rank) as overall_rank
from ranked
order by overall_rank, carrier
