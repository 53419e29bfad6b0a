select '{{ env_var("DBT_SHOP_REGION", "emea") }}' as region, '{{ target.schema }}' as schema_name,
    '{{ invocation_id }}' as invocation, {{ var('table_suffix') }} as suffix, t{{ var('table_suffix') }}.id
from {{ ref('orders') }} as t{{ var('table_suffix') }}
