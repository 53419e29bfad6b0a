/* @model
description: Carriers, with their names as people say them.
owner: data@example.com
columns:
  carrier: {checks: [unique, not_null]}
  airline: {checks: [not_null]}
*/
select
    carrier,
    -- "Delta Air Lines Inc." -> "Delta Air Lines"
    regexp_replace(name, ' (Inc\.|Co\.|Corporation)$', '') as airline
from seeds.airlines
