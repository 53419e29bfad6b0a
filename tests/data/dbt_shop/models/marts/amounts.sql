{{ config(materialized='incremental', unique_key='id') }}
{%- set columns = ['amount', 'id'] %}
select
    id,
    {% for column in columns -%}
    {{ cents(column) }} as {{ column }}_cents{{ ',' if not loop.last }}
    {% endfor %}
from {{ ref('stg_orders') }}
{{ only_new('ordered_at') }}
