{% set found = run_query('select 42 as answer') %}
select {{ found.columns[0].values()[0] if execute else 0 }} as answer, id from {{ ref('recent') }}
