/* @model
alias: revenue_by_customer
tags: mart
*/
select customers.name, sum(stg_orders.amount) as amount
from staging.stg_orders
join seeds.customers on customers.id = stg_orders.customer_id
group by all;
