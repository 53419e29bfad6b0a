-- title: PostgreSQL folds names
-- dialect: postgres
-- given: orders (id integer, amount numeric)
select Id as OrderId, "id" as "OrderId2", amount::text as t, count(*) over () as n from orders
-- column: orderid integer <- orders.id
-- column: OrderId2 integer <- orders.id
-- column: t TEXT <- orders.amount
-- column: n ?

-- title: PostgreSQL: DISTINCT ON, LATERAL, FILTER
-- dialect: postgres
-- given: orders (id integer, day date)
-- given: items (order_id integer, price numeric)
select distinct on (o.id) o.id, l.top, count(*) filter (where o.day is not null) over () as n
from orders o cross join lateral (select max(price) as top from items i where i.order_id = o.id) l
order by o.id, o.day desc
-- column: id integer <- orders.id
-- column: top ? <- items.price
-- column: n ? <- orders.day

-- title: BigQuery: UNNEST, EXCEPT, struct paths
-- dialect: bigquery
-- given: events (id INT64, params ARRAY<STRUCT<key STRING, value STRING>>, geo STRUCT<city STRING>)
select e.* except (params, geo), e.geo.city, p.key from events as e, unnest(e.params) as p
-- column: id INT64 <- events.id
-- column: city ? <- events.geo
-- column: key ? <- events.params

-- title: Snowflake: variants, FLATTEN, QUALIFY
-- dialect: snowflake
-- given: EVENTS (ID NUMBER, DOC VARIANT)
select id, doc:user.name::string as user_name, f.value:x::int as x
from events, lateral flatten(input => doc:items) f
qualify row_number() over (partition by id order by id) = 1
-- column: ID NUMBER <- EVENTS.ID
-- column: USER_NAME VARCHAR <- EVENTS.DOC
-- column: X INT <- EVENTS.DOC

-- title: Spark: LATERAL VIEW
-- dialect: spark
-- given: orders (id INT, tags ARRAY<STRING>)
select id, tag from orders lateral view explode(tags) t as tag
-- column: id INT <- orders.id
-- column: tag ? <- orders.tags

-- title: T-SQL: TOP, brackets, APPLY
-- dialect: tsql
-- given: orders (id INT, amount MONEY)
select top 10 o.[id] as [order id], o.amount * 2 as doubled from orders as o order by o.amount desc
-- column: order id INT <- orders.id
-- column: doubled ? <- orders.amount

-- title: Trino: ROW and TRY_CAST
-- dialect: trino
-- given: orders (id BIGINT, name VARCHAR)
select id, try_cast(name as integer) as n, row(id, name) as r from orders
-- column: id BIGINT <- orders.id
-- column: n INTEGER <- orders.name
-- column: r ? <- orders.id, orders.name

-- title: MySQL: backticks and IFNULL
-- dialect: mysql
-- given: orders (id INT, name VARCHAR(10))
select `id`, ifnull(name, 'x') as name from orders
-- column: id INT <- orders.id
-- column: name ? <- orders.name

-- title: Redshift: late aliases
-- dialect: redshift
-- given: orders (id integer, amount double precision)
select amount * 2 as twice, twice + 1 as more from orders
-- column: twice ? <- orders.amount
-- column: more ? <- orders.amount

-- title: ClickHouse: WITH an expression, and arrays
-- dialect: clickhouse
-- given: events (id UInt64, tags Array(String))
with 2 as factor select id * factor as twice, arrayJoin(tags) as tag from events
-- column: twice ? <- events.id
-- column: tag ? <- events.tags

-- title: Databricks: a struct's fields
-- dialect: databricks
-- given: events (id INT, payload STRUCT<a: INT>)
select id, payload.a as a from events
-- column: id INT <- events.id
-- column: a ? <- events.payload

-- title: tsql: methods of a column
-- dialect: tsql
-- given: docs (id INT, doc XML)
select doc.value('(/a)[1]', 'int') as v, dbo.f(id) as w from docs
-- column: v ? <- docs.doc
-- column: w ? <- docs.id

-- title: clickhouse: a constant and a table of WITH
-- dialect: clickhouse
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
with (select max(id) from orders) as m, o as (select 1 as a) select m, o.a from customers as x
-- column: m ? <- orders.id
-- column: a ?
