{{ config(alias='reader_of_recent', schema='extra') }}
select id, '{{ ref("orders") }}' as came_from from {{ ref('recent') }}
union all
select id, 'here' from {{ ref('recent') }} where 'dev' = '{{ target.name }}'
