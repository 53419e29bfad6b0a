{{ config(materialized='ephemeral') }}
select * from {{ ref('orders') }} where ordered_at >= date '2024-01-01'
