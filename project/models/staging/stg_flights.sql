/* @model
description: Scheduled flights, one row each, with an identity and what became of them.
owner: data@example.com
columns:
  flight_id:
    description: "Day, carrier, number and origin: 2013-01-31-UA-1545-EWR."
    checks: [unique, not_null]
  origin:
    checks:
      - not_null
      - accepted_values: {values: [EWR, JFK, LGA]}
  destination:
    checks:
      - relationships: {to: stg_airports, field: airport}
  carrier:
    checks:
      - relationships: {to: stg_airlines, field: carrier}
  tail_number:
    description: The register lacks most of American's and Envoy's, which report fleet numbers.
    checks:
      - relationships: {to: stg_planes, field: tail_number, severity: warn}
  status:
    checks:
      - accepted_values: {values: [completed, cancelled, diverted]}
*/
select
    cast(scheduled_departure as date) || '-' || carrier || '-' || flight_number || '-' || origin
        as flight_id,
    *,
    case
        when departure_delay is null then 'cancelled'
        when arrival_delay is null then 'diverted'
        else 'completed'
    end as status
from raw.flights
