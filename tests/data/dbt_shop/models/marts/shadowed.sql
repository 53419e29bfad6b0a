with orders as (select 1 as id)
select o.id from orders join {{ ref('orders') }} as o using (id)
