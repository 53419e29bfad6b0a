{% macro money(column) %}{{ return(adapter.dispatch('money', 'util')(column)) }}{% endmacro %}
{% macro default__money(column) %}round({{ column }}, {{ var('rounding') }}){% endmacro %}
{% macro duckdb__money(column) %}cast({{ util.default__money(column) }} as decimal(9, {{ var('rounding') }})){% endmacro %}
