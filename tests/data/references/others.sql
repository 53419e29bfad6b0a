-- title: postgres folds unquoted names, and only these
-- dialect: postgres
-- tables: orders; "Orders"; staging.flights
select Orders.id from Orders, "Orders" as o, STAGING.Flights
-- references: orders, Orders, staging.flights
-- replaced:
select Orders.id from "dev_main"."orders_v2" AS "orders", "dev_main"."Orders_v2" as o, "dev_staging"."flights_v2" AS "flights"

-- title: postgres: a quoted CTE is not the folded name
-- dialect: postgres
-- tables: orders
with "Orders" as (select 1) select * from orders
-- references: orders

-- title: postgres: a recursive CTE reads itself
-- dialect: postgres
-- tables: u
with recursive t(n) as (values (1) union all select n + 1 from t where n < 5) select * from t, u
-- references: u

-- title: postgres: WITH RECURSIVE sees in any order
-- dialect: postgres
-- tables: c
with recursive a as (select * from b), b as (select * from c) select * from a
-- references: c

-- title: postgres: a CTE of the name of its table
-- dialect: postgres
-- tables: orders
with orders as (select * from orders where id = :id) select * from orders
-- references: orders

-- title: postgres: system tables
-- dialect: postgres
-- tables: none
select * from pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace, information_schema.columns
-- references:

-- title: postgres: lateral functions
-- dialect: postgres
-- tables: orders (items jsonb)
select * from orders o, lateral jsonb_array_elements(o.items) i, generate_series(1, 2) g, rows from (generate_series(1, 2)) r
-- references: orders

-- title: postgres: locks name no table of their own
-- dialect: postgres
-- tables: s.orders
select * from s.orders for update of orders
-- references: s.orders

-- title: postgres: row types and stars with a schema
-- dialect: postgres
-- executed: no, it needs a type of its own
select staging.orders.*, (staging.orders.info).city from staging.orders
-- references: staging.orders
-- replaced:
select orders.*, (orders.info).city from "dev_staging"."orders_v2" AS "orders"

-- title: postgres: distinct on, filter, ordinality, casts
-- dialect: postgres
-- tables: orders (a integer[], id integer, x jsonb)
select distinct on (id) id::text, count(*) filter (where x ? 'k') from orders, unnest(a) with ordinality u group by 1
-- references: orders

-- title: postgres: slices are no placeholders
-- dialect: postgres
-- tables: t (a integer[], n integer, x integer, y integer, z integer)
select a[1:n], a[:n], array[:year, 2], x::int from t where y = :year and z between :year and 3
-- references: t
-- replaced:
select a[1:n], a[:n], array[2013, 2], x::int from "dev_main"."t_v2" AS "t" where y = 2013 and z between 2013 and 3

-- title: postgres: dollar quotes and escapes
-- dialect: postgres
-- tables: z
select $$from x$$, $q$ :year $q$, E'it\'s from y', U&'\0041' from z
-- references: z

-- title: snowflake folds to upper case
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `table` on
with a as (select * from Raw.Orders) select * from A, "raw".t, table(flatten(input => a.x)) f, lateral flatten(a.y) g
-- references: RAW.ORDERS, raw.T

-- title: snowflake: paths into JSON and placeholders
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `:` on
select src:year.month, src :month, :year from orders where src:a = :id
-- references: ORDERS
-- replaced:
select src:year.month, src :month, 2013 from "dev_main"."ORDERS_v2" AS "ORDERS" where src:a = 1

-- title: snowflake: a CTE reads itself without the word
-- dialect: snowflake
-- executed: no, DuckDB needs the word RECURSIVE
with t as (select 1 as n union all select n + 1 from t) select * from t
-- references:

-- title: bigquery: a name in one pair of back-ticks, array paths
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select @year, (select max(x) from t.items) from `proj.data.Orders` as t, t.lines, unnest(t.other)
-- references: proj.data.Orders
-- replaced:
select 2013, (select max(x) from t.items) from `dev_data`.`Orders_v2` as t, t.lines, unnest(t.other)

-- title: bigquery: a project with a dash
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `-` on
select * from my-proj.data.orders, `my-proj`.data.INFORMATION_SCHEMA.TABLES
-- references: my-proj.data.orders

-- title: redshift: an array of an outer table
-- dialect: redshift
-- executed: no, DuckDB looks for a table `o.items`
select * from s.orders o, o.items i
-- references: s.orders

-- title: tsql: brackets, hints, variables
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `5` on
select top 5 [o].[id] from [dbo].[Orders] as o with (nolock) cross apply f(o.id) x where y = @year
-- references: dbo.orders

-- title: databricks: files by format and path
-- dialect: databricks
-- executed: no, `main` is no catalog in DuckDB
select * from parquet.`/data/x` p, main.raw.orders lateral view explode(items) e as item
-- references: main.raw.orders

-- title: clickhouse: IN reads a table
-- dialect: clickhouse
-- executed: no, DuckDB reads no table after IN
select * from orders where id in raw.ids
-- references: orders, raw.ids

-- title: mysql: back-ticks, names as they are
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `.` on
select `Orders`.id from `Shop`.`Orders` straight_join items
-- references: Shop.Orders, items

-- title: trino: three parts
-- dialect: trino
-- tables: hive.raw.orders (items integer[])
select * from hive.raw.orders o cross join unnest(o.items) as t(item)
-- references: hive.raw.orders

-- title: postgres: a list behind IN, and one that any() takes
-- dialect: postgres
-- tables: orders
select id in $ids as is_in, id not in /* these */ $ids as is_out, id = any($ids) as is_any from orders
-- references: orders
-- replaced:
select id in (1, 2) as is_in, id not in /* these */ (1, 2) as is_out, id = any(ARRAY[1, 2]) as is_any from "dev_main"."orders_v2" AS "orders"
