-- title: trino: quoted names fold too
-- dialect: trino
-- tables: sales.items
with "Orders" as (select 1 as id) select * from ORDERS, "Sales"."Items"
-- references: sales.items

-- title: trino: a CTE of the name of its table
-- dialect: trino
-- tables: orders
with orders as (select * from orders) select * from orders
-- references: orders

-- title: trino: UNNEST of columns
-- dialect: trino
-- executed: no, UNNEST takes one array in DuckDB
select * from raw.orders o cross join unnest(o.items, o.prices) with ordinality as t (item, price, n) left join unnest(o.tags) as g(tag) on true
-- references: raw.orders

-- title: trino: rows of an array of rows
-- dialect: trino
-- tables: none
select t.x from unnest(array[row(1, 'a')]) as t(x, y), (values (1), (2)) as orders(id)
-- references:

-- title: trino: a correlated UNNEST in a subquery
-- dialect: trino
-- executed: no, DuckDB has no any_match()
select (select max(x) from unnest(o.xs) as t(x)), any_match(o.xs, x -> x > 1) from raw.orders o
-- references: raw.orders

-- title: trino: time travel
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `version` on
select * from lake.raw.orders for version as of 123 join lake.raw.items for timestamp as of timestamp '2024-01-01 00:00:00 UTC' as i using (id)
-- references: lake.raw.orders, lake.raw.items

-- title: trino: TABLESAMPLE
-- dialect: trino
-- executed: no, DuckDB does not parse it
select orders.id from raw.orders tablesample bernoulli (10)
-- references: raw.orders
-- replaced:
select orders.id from "dev_raw"."orders_v2" AS "orders" tablesample bernoulli (10)

-- title: trino: table functions
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `table` on
select * from table(sequence(1, 10)) s, table(pg.system.query(query => 'select * from customers')) q, raw.t
-- references: raw.t

-- title: trino: a table as a function's argument
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `table` on
select * from table(exclude_columns(input => table(raw.orders), columns => descriptor(a, b)))
-- references: raw.orders

-- title: trino: MATCH_RECOGNIZE
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `by` on
select * from raw.prices match_recognize (
  partition by symbol order by day measures last(down.price) as p one row per match
  pattern (start down+) define down as price < prev(price)
) as m
-- references: raw.prices

-- title: trino: JSON_TABLE
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `columns` on
select j.* from raw.orders o, json_table(o.doc, 'lax $[*]' columns (id bigint path 'lax $.id')) as j
-- references: raw.orders

-- title: trino: system schemas
-- dialect: trino
-- executed: no, DuckDB looks for a table `runtime.queries`
select * from system.runtime.queries, lake.information_schema.tables, information_schema.columns, system.metadata.catalogs
-- references:

-- title: trino: VALUES, TABLE and set operations
-- dialect: trino
-- tables: a (x integer); b (x integer); c (x integer)
values (1) union all table a except (select x from b intersect select x from c)
-- references: a, b, c

-- title: trino: lateral
-- dialect: trino
-- tables: raw.a; raw.b
select * from raw.a cross join lateral (select * from raw.b where b.id = a.id) t
-- references: raw.a, raw.b

-- title: trino: columns by three parts and a field
-- dialect: trino
-- tables: lake.raw.orders (address json, id integer)
select lake.raw.orders.id, raw.orders.address.city, orders.address.zip from lake.raw.orders
-- references: lake.raw.orders
-- replaced:
select orders.id, orders.address.city, orders.address.zip from "dev_raw"."orders_v2" AS "orders"

-- title: trino: a recursive CTE
-- dialect: trino
-- tables: raw.x
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t, raw.x
-- references: raw.x

-- title: trino: quoted names with hyphens, dots and spaces
-- dialect: trino
-- tables: "my-cat"."my schema"."a.b"
select * from "my-cat"."my schema"."a.b"
-- references: my-cat.my schema."a.b"

-- title: trino: lambdas, TRY, subscripts and intervals
-- dialect: trino
-- executed: no, DuckDB has no transform()
select transform(xs, x -> x + 1), try(1 / a), m['from'], xs[1], interval '1' day, date '2024-01-01' from raw.t
-- references: raw.t

-- title: trino: FROM in functions
-- dialect: trino
-- executed: no, DuckDB has no normalize()
select extract(day from d), substring(s from 2), trim(leading 'x' from s), normalize(s, nfc), count(*) filter (where a > 1) from raw.t
-- references: raw.t

-- title: trino: grouping sets and FETCH
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `with` on
select a, grouping(a) from raw.t group by cube (a, b) having count(*) > (select n from raw.u) fetch first 5 rows with ties
-- references: raw.t, raw.u

-- title: trino: an inline function
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `one` on
with function one() returns integer return 1 select one() from raw.t
-- references: raw.t

-- title: trino: subqueries compared by quantifiers
-- dialect: trino
-- executed: no, DuckDB does not parse it, from `1` on
select * from raw.a where x > all (select x from raw.b) and y = some (values 1, 2) and (p, q) in (select p, q from raw.c)
-- references: raw.a, raw.b, raw.c

-- title: trino: a query for another server
-- dialect: trino
-- executed: no, DuckDB has no such function
select * from table(pg.system.query(query => 'select 1'))
-- references:
