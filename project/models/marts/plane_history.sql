/* @model
description: Aircraft as the register had them, at any time since the first run. A row per version.
owner: analytics@example.com
materialized: snapshot
unique_key: tail_number
strategy: check
*/
select * from stg_planes
