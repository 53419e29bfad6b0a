-- title: a CTE is no reference
-- dialect: duckdb
with o as (select * from orders) select * from o
-- references: orders

-- title: a CTE may bear the name of the table it reads
-- dialect: duckdb
with orders as (select id + 1 as id from orders) select orders.id from orders
-- references: orders
-- replaced:
with orders as (select id + 1 as id from "dev_main"."orders_v2" AS "orders") select orders.id from orders

-- title: a CTE in another case
-- dialect: duckdb
with O as (select * from orders), "P" as (from o) select * from p
-- references: orders

-- title: a CTE hides only the bare name
-- dialect: duckdb
with orders as (select 7 as id) select * from orders, raw.orders r
-- references: raw.orders

-- title: a CTE sees those before it
-- dialect: duckdb
with a as (from orders), b as (from a), c as (from b) select count(*) from c
-- references: orders

-- title: a CTE is only known in its query
-- dialect: duckdb
select (with customers as (select 5 as id) select id from customers) as five, c.id from customers c
-- references: customers

-- title: a CTE of the outer query inside a subquery
-- dialect: duckdb
with customers as (select 5 as id) select * from orders where id < (select max(id) from customers)
-- references: orders

-- title: a nested CTE of the same name reads the outer one
-- dialect: duckdb
with orders as (select 1 as q) select (with orders as (select * from orders) select q from orders)
-- references:

-- title: a CTE before UNION serves both halves
-- dialect: duckdb
with o as (from orders) select id from o union all select id from o union all select id from raw.orders
-- references: orders, raw.orders

-- title: a CTE in parentheses
-- dialect: duckdb
select * from (with o as (select id from orders) select * from o) t join raw.orders r on r.id = t.id
-- references: orders, raw.orders

-- title: a recursive CTE
-- dialect: duckdb
with recursive n(i) as (select 1 union all select i + 1 from n where i < (select count(*) from orders))
select * from n
-- references: orders

-- title: DuckDB: the first half of a recursive CTE reads the table of that name
-- dialect: duckdb
with recursive orders as (
  select id from orders union all select id + 10 from orders where id < 10
) select * from orders
-- references: orders

-- title: DuckDB: all rows of a recursive CTE so far
-- dialect: duckdb
with recursive info as (
  select 1 as id union select info.id + every.id from info, Recurring.Info as every, memory.recurring.info as again
  where info.id + every.id < (select count(*) from recurring.info)
) select * from info
-- references:

-- title: DuckDB: elsewhere that is a table's name
-- dialect: duckdb
with recursive info as (select id from recurring.info union select id + 1 from info where id < 3)
select info.id, r.id from info, recurring.info as r
-- references: recurring.info, recurring.info

-- title: DuckDB: WITH RECURSIVE without a UNION is no recursion
-- dialect: duckdb
with recursive orders as (select * from orders) select * from orders
-- references: orders

-- title: a materialized CTE
-- dialect: duckdb
with o as materialized (select * from orders) select * from o
-- references: orders

-- title: subqueries everywhere
-- dialect: duckdb
select (select max(id) from customers) as a, id in (select id from raw.orders) as b
from (select * from orders) o
where exists (select 1 from staging.orders s where s.id = o.id)
order by (select count(*) from staging.flights), id
-- references: customers, raw.orders, orders, staging.orders, staging.flights

-- title: joins of every kind
-- dialect: duckdb
select count(*) from orders
  left join customers on customers.id = orders.customer_id
  semi join raw.orders r on r.id = orders.id
  cross join staging.flights f
  positional join staging.orders so
-- references: orders, customers, raw.orders, staging.flights, staging.orders

-- title: an as-of join
-- dialect: duckdb
select * from orders asof join raw.orders r on orders.id >= r.id
-- references: orders, raw.orders

-- title: joins in parentheses
-- dialect: duckdb
select name from raw.orders r cross join (orders o join customers using (id))
-- references: raw.orders, orders, customers

-- title: set operations
-- dialect: duckdb
(select id from orders except select id from customers) union by name (select id from raw.orders intersect select flight_id from staging.flights)
-- references: orders, customers, raw.orders, staging.flights

-- title: lateral
-- dialect: duckdb
select * from orders, lateral (select orders.id + 1 as next, (select count(*) from customers) as n) l
-- references: orders, customers

-- title: unnest, functions and values are no references
-- dialect: duckdb
select * from staging.flights f, unnest(f.arr) u(x), range(2) r(i), (values (1), (2)) v(z)
-- references: staging.flights

-- title: a subquery as a function's argument
-- dialect: duckdb
select list_sum(array(select id from orders)) as s, case when (select count(*) from customers) > 0 then 1 end as c
-- references: orders, customers

-- title: windows, qualify and having
-- dialect: duckdb
select customer_id, count(*) from orders group by customer_id having count(*) >= (select min(id) from customers)
qualify row_number() over (order by customer_id) = 1
-- references: orders, customers

-- title: the same table twice
-- dialect: duckdb
select a.id, b.id from orders a join orders b using (id)
-- references: orders, orders

-- title: a recursive CTE in parentheses
-- dialect: duckdb
with recursive t as (((select id from orders) union (select id + 1 from t where id < 3))) select * from t
-- references: orders
