-- title: from first
-- dialect: duckdb
from orders select orders.id where id > 1
-- references: orders

-- title: only from
-- dialect: duckdb
from staging.orders
-- references: staging.orders

-- title: an alias before its table
-- dialect: duckdb
from o: orders select o.id
-- references: orders
-- replaced:
from o: "dev_main"."orders_v2" select o.id

-- title: TABLE takes no alias
-- dialect: duckdb
table orders
-- references: orders
-- replaced:
table "dev_main"."orders_v2"

-- title: values
-- dialect: duckdb
values (1), (2)
-- references:

-- title: a query in parentheses
-- dialect: duckdb
(select id from orders)
-- references: orders

-- title: the PIVOT statement
-- dialect: duckdb
pivot cities on year using sum(population) group by country
-- references: cities

-- title: the PIVOT statement with a CTE
-- dialect: duckdb
with c as (select * from cities where year > 1999) pivot c on year using sum(population) group by country
-- references: cities

-- title: PIVOT in FROM
-- dialect: duckdb
select * from cities pivot (sum(population) for year in (2000, 2010) group by country) p
-- references: cities
-- replaced:
select * from "dev_main"."cities_v2" AS "cities" pivot (sum(population) for year in (2000, 2010) group by country) p

-- title: PIVOT of a query, in a query
-- dialect: duckdb
select * from (pivot (select * from cities) on year in (2000) using sum(population) group by country)
-- references: cities

-- title: the PIVOT statement in order
-- dialect: duckdb
pivot cities on year using sum(population) group by country order by country desc limit (select min(id) from orders)
-- references: cities, orders

-- title: the PIVOT statement with a CTE, in order
-- dialect: duckdb
with c as materialized (select * from cities) pivot (from c) on year in (2000) using first(population order by year) group by country order by all
-- references: cities

-- title: the PIVOT statement in a set operation
-- dialect: duckdb
pivot cities on year in (2000) using sum(population) group by country
union all (pivot cities on year in (2010) using sum(population) group by country)
-- references: cities, cities

-- title: the PIVOT statement in parentheses
-- dialect: duckdb
select exists (pivot cities on year in (2000) using sum(population)) as a, array(pivot (select id from orders) on id in (1)) as b
-- references: cities, orders

-- title: the PIVOT statement as a CTE, in order
-- dialect: duckdb
with p as (pivot cities on year in (2000) using sum(population) group by country order by country limit 1)
select p.country, orders.id from p, orders
-- references: cities, orders
-- replaced:
with p as (pivot "dev_main"."cities_v2" AS "cities" on year in (2000) using sum(population) group by country order by country limit 1)
select p.country, orders.id from p, "dev_main"."orders_v2" AS "orders"

-- title: PIVOT in FROM, in order
-- dialect: duckdb
with c as (from cities) select * from c pivot (sum(population) for year in (2000) group by country) order by country
-- references: cities

-- title: a column named pivot
-- dialect: duckdb
select a.pivot, a.unpivot from (select id as pivot, amount as unpivot from orders) a order by 1
-- references: orders

-- title: UNPIVOT in order
-- dialect: duckdb
unpivot orders on id, amount into name field value number order by number, field
-- references: orders

-- title: PIVOT by its longer names
-- dialect: duckdb
select * from (pivot_wider cities on year in (2000) using sum(population)), (pivot_longer orders on id, amount limit 1)
-- references: cities, orders

-- title: UNPIVOT
-- dialect: duckdb
unpivot (select id, amount from orders) on id, amount into name field value number
-- references: orders

-- title: SUMMARIZE takes no alias
-- dialect: duckdb
select column_name, max from (summarize orders)
-- references: orders
-- replaced:
select column_name, max from (summarize "dev_main"."orders_v2")

-- title: DESCRIBE
-- dialect: duckdb
select column_name from (describe staging.flights)
-- references: staging.flights

-- title: sampling
-- dialect: duckdb
select orders.id from orders tablesample 100%
-- references: orders

-- title: information_schema
-- dialect: duckdb
select count(*) > 0 from information_schema.tables
-- references:

-- title: DuckDB's own tables
-- dialect: duckdb
select count(*) from duckdb_settings() s, duckdb_tables t, pg_catalog.pg_class, pg_namespace, sqlite_master where false
-- references:

-- title: files by name
-- dialect: duckdb
-- executed: no, the files are not there
select * from 'flights/*.parquet' a, "data.csv" b, 's3://bucket/x' c, 'ids.dat' i, read_csv('x.csv') d
-- references:

-- title: show in FROM
-- dialect: duckdb
-- executed: no, it lists the tables that are there
select * from (show tables)
-- references:

-- title: placeholders, also where only a keyword is a name
-- dialect: duckdb
select $year as y, $end as e from orders where id in $ids
-- references: orders
-- replaced:
select 2013 as y, 'it''s' as e from "dev_main"."orders_v2" AS "orders" where id in [1, 2]

-- title: what looks like a placeholder
-- dialect: duckdb
select '$year' as a, arr[1:flight_id] as b, arr[:2] as c, {'k': flight_id} as d, $$ $year $$ as e, @delay as f from staging.flights -- $year
-- references: staging.flights

-- title: a semicolon and a comment at the end
-- dialect: duckdb
select id from orders; -- that is all
-- references: orders
-- replaced:
select id from "dev_main"."orders_v2" AS "orders" -- that is all

-- title: the header comment
-- dialect: duckdb
/* @model
materialized: table
*/
select id from orders
-- references: orders

-- title: friendly SQL
-- dialect: duckdb
select x: id, list_transform([1], lambda i: i + 1) as l, count() over () as n, from orders, order by all
-- references: orders

-- title: lists and structs made of a table
-- dialect: duckdb
select [i * 2 for i in arr if i > 1] as l, struct_pack(a := delay) as s, try_cast('x' as int) as t from staging.flights
-- references: staging.flights
