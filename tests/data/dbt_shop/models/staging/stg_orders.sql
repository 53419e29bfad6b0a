{{ config(materialized='view', tags=['early']) }}

{# Each order once. #}
select
    id,
    customer,  -- who has ordered
    ordered_at,
    amount
from {{ source('raw', 'raw_orders') }}
where '{{ var("channel") }}' <> 'shop'
    and {{ var('late_minutes') }} > 0
    and '{{ var("channel") }}-x' <> 'y'
