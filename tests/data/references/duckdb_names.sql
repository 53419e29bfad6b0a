-- title: bare name
-- dialect: duckdb
select * from orders
-- references: orders
-- replaced:
select * from "dev_main"."orders_v2" AS "orders"

-- title: with its schema
-- dialect: duckdb
select flight_id from staging.flights
-- references: staging.flights

-- title: with its catalog
-- dialect: duckdb
select memory.staging.flights.flight_id from memory.staging.flights
-- references: memory.staging.flights
-- replaced:
select flights.flight_id from "dev_staging"."flights_v2" AS "flights"

-- title: an alias stays as it is
-- dialect: duckdb
select o.id from orders as o join customers c on c.id = o.customer_id
-- references: orders, customers
-- replaced:
select o.id from "dev_main"."orders_v2" as o join "dev_main"."customers_v2" c on c.id = o.customer_id

-- title: columns by table name
-- dialect: duckdb
select flights.flight_id from staging.flights where flights.delay > 1
-- references: staging.flights

-- title: columns by schema and table
-- dialect: duckdb
select staging.flights.flight_id, "staging"."flights".carrier from staging.flights
-- references: staging.flights
-- replaced:
select flights.flight_id, "flights".carrier from "dev_staging"."flights_v2" AS "flights"

-- title: a qualifier with the catalog for a name without
-- dialect: duckdb
select memory.staging.flights.flight_id from staging.flights
-- references: staging.flights

-- title: a qualifier with the schema for a bare name
-- dialect: duckdb
select main.orders.id from orders
-- references: orders

-- title: fields of a struct are no qualifier
-- dialect: duckdb
select flights.info.city, info.a from staging.flights
-- references: staging.flights
-- replaced:
select flights.info.city, info.a from "dev_staging"."flights_v2" AS "flights"

-- title: a field below schema, table and column
-- dialect: duckdb
select staging.flights.info.city from staging.flights
-- references: staging.flights
-- replaced:
select flights.info.city from "dev_staging"."flights_v2" AS "flights"

-- title: an alias that is named like a schema
-- dialect: duckdb
select staging.info.city from staging.flights as staging
-- references: staging.flights

-- title: two tables that only their schema tells apart
-- dialect: duckdb
select raw.orders.id, staging.orders.id from raw.orders, staging.orders
where raw.orders.id = staging.orders.id
-- references: raw.orders, staging.orders
-- replaced:
select "raw.orders".id, "staging.orders".id from "dev_raw"."orders_v2" AS "raw.orders", "dev_staging"."orders_v2" AS "staging.orders"
where "raw.orders".id = "staging.orders".id

-- title: such two, one of them bare
-- dialect: duckdb
select main.orders.amount, raw.orders.amount from orders join raw.orders on main.orders.id = raw.orders.id
-- references: orders, raw.orders

-- title: the same name in two queries does not clash
-- dialect: duckdb
select (select max(orders.id) from raw.orders) as a, orders.id from staging.orders
-- references: raw.orders, staging.orders

-- title: a correlated subquery names the outer table with its schema
-- dialect: duckdb
select o.id from orders o, staging.flights
where exists (select 1 from customers where id = o.customer_id and staging.flights.flight_id = 1)
-- references: orders, staging.flights, customers

-- title: unquoted names in any case
-- dialect: duckdb
SELECT Orders.ID FROM ORDERS
-- references: orders

-- title: quoted names in any case, as DuckDB compares them
-- dialect: duckdb
select "Orders"."id" from "ORDERS"
-- references: orders

-- title: a name with spaces and quotes
-- dialect: duckdb
select "Mixed ""Case""".id from marts."Mixed ""Case"""
-- references: marts.mixed "case"
-- replaced:
select "Mixed ""Case""".id from "dev_marts"."mixed ""case""_v2" AS "mixed ""case"""

-- title: non-ASCII names and text before them
-- dialect: duckdb
select 'é 🛫 ü' as "naïve", Étage.id /* 🛬 */ from Étage
-- references: Étage

-- title: space and comments inside a name
-- dialect: duckdb
select flight_id from staging . /* here */ flights
-- references: staging.flights
-- replaced:
select flight_id from "dev_staging"."flights_v2" AS "flights"

-- title: comments, hints and formatting survive
-- dialect: duckdb
select   id   -- from raw.orders
  , /* from raw.orders */ 'from raw.orders' as t
from
    orders   -- the end
-- references: orders
-- replaced:
select   id   -- from raw.orders
  , /* from raw.orders */ 'from raw.orders' as t
from
    "dev_main"."orders_v2" AS "orders"   -- the end

-- title: a table in single quotes
-- dialect: duckdb
select orders.id from 'orders'
-- references: orders

-- title: the name of a table as a row
-- dialect: duckdb
select orders from orders
-- references: orders

-- title: the star of a table
-- dialect: duckdb
select orders.* exclude (amount), columns(c.*) from orders, customers c
-- references: orders, customers

-- title: a column that is named like a table
-- dialect: duckdb
select customers from (select id as customers from orders) t
-- references: orders

-- title: an alias that is named like another table
-- dialect: duckdb
select customers.id from orders as customers
-- references: orders

-- title: the field of a struct that is named like a bare table
-- dialect: duckdb
select f.info.city from staging.flights f, info
-- references: staging.flights, info
-- replaced:
select f.info.city from "dev_staging"."flights_v2" f, "dev_main"."info_v2" AS "info"

-- title: an alias that is another table's bare name
-- dialect: duckdb
select raw.orders.id from raw.orders, customers as orders
-- references: raw.orders, customers
-- replaced:
select "raw.orders".id from "dev_raw"."orders_v2" AS "raw.orders", "dev_main"."customers_v2" as orders

-- title: a CTE that is another table's bare name
-- dialect: duckdb
with orders as (select 7 as id) select raw.orders.id from raw.orders, orders
-- references: raw.orders

-- title: an alias of a subquery would capture a table around it
-- dialect: duckdb
select orders.id, (select max(raw.orders.id + orders.id) from customers as orders) as most from raw.orders
-- references: customers, raw.orders
-- replaced:
select "raw.orders".id, (select max("raw.orders".id + orders.id) from "dev_main"."customers_v2" as orders) as most from "dev_raw"."orders_v2" AS "raw.orders"

-- title: a table of a subquery would capture one of another schema around it
-- dialect: duckdb
select exists (select 1 from staging.orders where orders.id = raw.orders.id) as there, orders.id from raw.orders
-- references: staging.orders, raw.orders

-- title: characters of no width between words, as they come with copied text
-- dialect: duckdb
select '​' as "a​",⁠orders.id from​orders﻿ where​ /* ​ */​id > 1
-- references: orders
-- replaced:
select '​' as "a​",⁠orders.id from​"dev_main"."orders_v2" AS "orders"﻿ where​ /* ​ */​id > 1

-- title: names that are keywords to others
-- dialect: duckdb
with grant as (select id as force, id as map, amount as list from orders), lock(rollback) as (from customers select id)
select force, map, x.list, lock.rollback from grant as x, lock where force < 5 and map<3 and list < 9 order by rollback
-- references: orders, customers

-- title: reserved words behind a dot
-- dialect: duckdb
select raw.union.id, range from raw.union where range < 5 and memory.raw.Union.id = 1
-- references: raw.union
-- replaced:
select "union".id, range from "dev_raw"."union_v2" AS "union" where range < 5 and "union".id = 1

-- title: a star behind a table
-- dialect: duckdb
select orders.id, c.name from orders *, customers * c where c.id * 1 = orders.customer_id
-- references: orders, customers
-- replaced:
select orders.id, c.name from "dev_main"."orders_v2" AS "orders", "dev_main"."customers_v2" c where c.id * 1 = orders.customer_id
