with stg_orders as (
    select * from {{ ref('stg_orders') }}
),
names as (select customer from stg_orders)
select n.customer, count(*) as orders
from names n
join {{ ref('orders') }} as orders using (customer)
group by 1
