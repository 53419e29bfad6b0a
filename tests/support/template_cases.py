"""A project with templates, and the same files as a dbt project: what both compile is compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.project.targets import usable_target
from dagster_models.sql.literals import layout
from project_cases import load_with_caches, write_project

SETTINGS = "name: shop\njinja: true\nvars: {days: 3, kinds: [new, paid]}\n"

#: Plain SQL in both.
MODELS = {
    "stg_orders": "select 1 as id, 'new' as kind, 10 as cents, timestamp '2024-01-01' as moment\n",
    "stg_refunds": "select 1 as id, 'paid' as kind, 5 as cents, timestamp '2024-01-02' as moment\n",
}
MACROS = {
    "money.sql": """
{% macro euros(column, digits=2) -%}
round({{ column }} / 100.0, {{ digits }})
{%- endmacro %}

{# Text between macros does not count. #}
{% macro all_of(names) %}
  {%- for name in names %}
    select id, kind from {{ one(name) }}
    {%- if not loop.last %} union all {% endif -%}
  {% endfor %}
{% endmacro %}

{% macro one(name) %}{{ return(ref(name)) }}{% endmacro %}
""",
    "later/new_only.sql": """
{% macro new_only(column) %}
  {% if is_incremental() %}
  where {{ column }} > (select max({{ column }}) from {{ this }})
  {% else %}
  where {{ column }} is not null
  {% endif %}
{% endmacro %}

{% macro wrapped() %}coalesce({{ caller() }}, 0){% endmacro %}
""",
}
#: A package, which `dbt deps` copies, and which stands in packages_jinja/.
PACKAGE = {
    "dbt_project.yml": "name: util\nversion: '1.0'\n",
    "macros/named.sql": """
{% macro named(column) %}{{ return(adapter.dispatch('named', 'util')(column)) }}{% endmacro %}
{% macro default__named(column) %}{{ column }} as default_{{ column }}{% endmacro %}
{% macro duckdb__named(column) %}{{ column }} as {{ util._prefix() }}{{ column }}{% endmacro %}
{% macro _prefix() %}duck_{% endmacro %}
""",
}
TEMPLATES = {
    "whitespace": """
{{- config(materialized='view') -}}
{%- set columns = ['id', 'kind'] -%}
select
{%- for column in columns %}
    {{ column }}{{ "," if not loop.last }}
{%- endfor %}
from {{ ref('stg_orders') }}  -- {{ 'a comment' }}
""",
    "macros_and_variables": """
select id, {{ euros('cents') }} as euros, {{ euros(digits=0, column='cents') }} as whole,
  {{ util.named('kind') }}, {{ shop.euros('id') }} as x
from {{ ref('shop', 'stg_orders') }}
where kind in ({% for kind in var('kinds') %}'{{ kind }}'{{ ", " if not loop.last }}{% endfor %})
  and id < {{ var('days') }} + {{ var('more', 7) }}
  and '{{ env_var('SHOP_REGION', 'emea') }}' = 'emea'
  and '{{ target.name }}' <> '' and '{{ target.type }}' = 'duckdb'
""",
    "loops_over_refs": """
{% set parts = ['stg_orders', 'stg_refunds'] %}
with stg_orders as (
{% for part in parts %}
  select id, kind, '{{ part }}' as of, '{{ ref(part) }}' as relation from {{ ref(part) }}
  {% if not loop.last %}union all{% endif %}
{% endfor %}
)
select stg_orders.*, o.cents from stg_orders join {{ ref('stg_orders') }} as o using (id)
union all select *, null, null, null from ({{ all_of(parts) }})
""",
    "set_blocks": """
{% set condition %}
  id > {{ var('days') }} - 10
{% endset %}
{% set found = namespace(count=0) %}
{% for it in range(3) %}{% do found.__setattr__('count', it) if false %}{% endfor %}
select id, {% call wrapped() %}cents{% endcall %} as cents,
  '{% raw %}{ {% endraw %}' as brace, {{ modules.datetime.date(2024, 1, 31).day }} as day
from {{ ref('stg_orders') }}
where {{ condition | trim }}
{% filter upper %} and kind = kind {% endfilter %}
""",
    "grows": """
{{ config(materialized='incremental', unique_key='id') }}
select id, kind, moment from {{ ref('stg_orders') }}
{% if is_incremental() %}
where moment > (select max(moment) from {{ this }})
{% endif %}
""",
    "grows_by_macro": """
{{ config(
    materialized='incremental',
    unique_key=['id', 'kind'],
) }}
select id, kind, moment from {{ ref('stg_refunds') }}
{{ new_only('moment') }}
""",
    "both_sides": """
{%- set later = is_incremental() -%}
{{ config(unique_key='id', materialized='incremental') }}
select id, {% if later %}kind{% else %}upper(kind) as kind{% endif %}
{%- if not is_incremental() %}, 'first' as build{% else %}, 'later' as build{% endif %}
from {{ ref('grows') }}
""",
}


def jinja_project(root: Path, files: Mapping[str, str] | None = None) -> Path:
    """The project with templates, and *files* in it."""
    every = {"dagster_models.yaml": SETTINGS}
    every |= {f"models/main/{name}.sql": text for name, text in MODELS.items()}
    every |= {f"models_jinja/main/{name}.sql": text for name, text in TEMPLATES.items()}
    every |= {f"macros_jinja/{path}": text for path, text in MACROS.items()}
    every |= {f"packages_jinja/util/{path}": text for path, text in PACKAGE.items()}
    return write_project(root, {**every, **(files or {})})


def dbt_project(root: Path) -> Path:
    """The same files as a dbt project."""
    own = "name: shop\nprofile: shop\nversion: '1.0'\nvars: {days: 3, kinds: [new, paid]}\n"
    profile = "outputs: {dev: {type: duckdb, path: shop.duckdb}}"
    every = {
        "dbt_project.yml": own,
        "profiles.yml": f"shop: {{target: dev, {profile}}}\n",
        "packages.yml": "packages: [{local: util}]\n",
    }
    every |= {f"models/{name}.sql": text for name, text in {**MODELS, **TEMPLATES}.items()}
    every |= {f"macros/{path}": text for path, text in MACROS.items()}
    every |= {f"util/{path}": text for path, text in PACKAGE.items()}
    for path, text in every.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def load_jinja(root: Path, **how: object) -> Project:
    return load_with_caches(root, **{"environ": {}, **how})


def compiled(project: Project, name: str, *, full: bool = False, schema: str = "main") -> str:
    """What is sent to build a model on the default target."""
    step = project.steps[Key(schema, name)]
    return compile_step(project, step, usable_target(project), full=full)


def words(sql: str) -> list[str]:
    """The tokens of a text, without the name of dbt's database."""
    return layout(sql.replace('"shop".', ""), "duckdb").said(sql.replace('"shop".', ""))
