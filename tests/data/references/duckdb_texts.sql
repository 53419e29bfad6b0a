-- title: query_table names a table in a text
-- dialect: duckdb
select o.id from query_table('raw.orders') o
-- references: raw.orders
-- replaced:
select o.id from "dev_raw"."orders_v2" o

-- title: query_table of several tables
-- dialect: duckdb
select id from query_table(['orders', 'raw.orders'])
-- references: orders, raw.orders
-- replaced:
select id from query_table(['"dev_main"."orders_v2"', '"dev_raw"."orders_v2"'])

-- title: query_table reads the CTE of that name
-- dialect: duckdb
with orders as (select 9 as id) from query_table('orders')
-- references:

-- title: a query in a text
-- dialect: duckdb
select id from query('select id from raw.orders where id > 1')
-- references: raw.orders

-- title: a query in dollar quotes, with strings of its own
-- dialect: duckdb
select n from query($$select id as n from orders where 'from x' <> 'y'$$)
-- references: orders

-- title: SHOW of a table in FROM
-- dialect: duckdb
select column_name from (show orders)
-- references: orders

-- title: UNION BY NAME is no recursion
-- dialect: duckdb
with recursive orders as (select id from orders union by name select id + 1 as id from orders) select id from orders
-- references: orders, orders

-- title: functions that tell of a table
-- dialect: duckdb
select t.name, s.column_name from pragma_table_info('raw.orders') t, pragma_show($$staging.flights$$) as s, pragma_storage_info(customers)
-- references: raw.orders, staging.flights, customers
-- replaced:
select t.name, s.column_name from pragma_table_info('"dev_raw"."orders_v2"') t, pragma_show($$"dev_staging"."flights_v2"$$) as s, pragma_storage_info("dev_main"."customers_v2")

-- title: query_table of names without quotes
-- dialect: duckdb
select id from query_table([orders, raw.orders, 'customers'], true)
-- references: orders, raw.orders, customers
-- replaced:
select id from query_table(["dev_main"."orders_v2", "dev_raw"."orders_v2", '"dev_main"."customers_v2"'], true)

-- title: histogram of a table; it is an aggregate as well
-- dialect: duckdb
select h.bin, histogram(c.id) as bins from histogram(raw.orders, amount) h, customers c group by all
-- references: raw.orders, customers
-- replaced:
select h.bin, histogram(c.id) as bins from histogram("dev_raw"."orders_v2", amount) h, "dev_main"."customers_v2" c group by all
