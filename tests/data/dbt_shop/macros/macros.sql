{% macro cents(column) %}({{ column }} * 100){% endmacro %}
{% macro only_new(column) -%}
  {% if is_incremental() %} where id >= (select max(id) from {{ this }}) {% endif %}
{%- endmacro %}
