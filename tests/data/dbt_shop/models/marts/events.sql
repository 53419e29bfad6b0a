{{ config(materialized='incremental') }}
select id, 'new' as kind from {{ ref('stg_orders') }}
{% if is_incremental() -%}
  where id > (select coalesce(max(id), 0) from {{ this }})  -- only what is new
{%- else %}
  where id > 0 /* all of them */
{% endif %}
