/* @model
description: Aircraft, one row per tail number.
owner: data@example.com
columns:
  tail_number: {checks: [unique, not_null]}
  seats: {description: "Of the type, not of this cabin."}
*/
select
    tailnum as tail_number,
    year as built,
    type,
    -- The register spells Airbus and McDonnell Douglas in several ways.
    case
        when manufacturer like 'AIRBUS%' then 'Airbus'
        when manufacturer like 'MCDONNELL DOUGLAS%' then 'McDonnell Douglas'
        when manufacturer = 'BOEING' then 'Boeing'
        when manufacturer like 'BOMBARDIER%' then 'Bombardier'
        when manufacturer = 'EMBRAER' then 'Embraer'
        else 'Other'
    end as manufacturer,
    model as aircraft_model,
    engines,
    seats
from raw.planes
