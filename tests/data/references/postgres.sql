-- title: postgres: FROM inside functions is no FROM clause
-- dialect: postgres
-- tables: sales.orders (day timestamp, note text)
select extract(year from o.day), substring(o.note from 2 for 3), trim(both 'x' from o.note),
  overlay(o.note placing 'a' from 1), position('x' in o.note) from sales.orders o
-- references: sales.orders

-- title: postgres: IS DISTINCT FROM is no FROM clause
-- dialect: postgres
-- tables: a (x integer, y integer, z integer)
select * from a where x is distinct from y and x is not distinct from z
-- references: a

-- title: postgres: the CTE of a subquery is not seen by the query around it
-- dialect: postgres
-- tables: customers
select * from (with customers as (select 1 as id) select * from customers) t, customers
-- references: customers

-- title: postgres: without RECURSIVE a CTE does not see those after it
-- dialect: postgres
-- tables: b; c
with a as (select * from b), b as (select * from c) select * from a
-- references: b, c

-- title: postgres: a CTE hides no table with a schema
-- dialect: postgres
-- tables: sales.orders
with orders as (select 1 as id) select * from sales.orders s, orders
-- references: sales.orders

-- title: postgres: a CTE in an arm of a UNION
-- dialect: postgres
-- tables: orders; o
(with o as (select * from orders) select id from o) union all select id from o
-- references: orders, o

-- title: postgres: a CTE of the name of its table, twice nested
-- dialect: postgres
-- tables: orders
with orders as (with orders as (select * from orders) select * from orders) select * from orders
-- references: orders

-- title: postgres: SEARCH and CYCLE of a recursive CTE
-- dialect: postgres
-- tables: nodes (parent integer, id integer)
with recursive t(id, parent) as (
  select id, parent from nodes where parent is null
  union all select n.id, n.parent from nodes n join t on n.parent = t.id
) search breadth first by id set ord cycle id set is_cycle using path
select * from t
-- references: nodes, nodes

-- title: postgres: MATERIALIZED and NOT MATERIALIZED
-- dialect: postgres
-- tables: x
with a as materialized (select * from x), b as not materialized (select * from a) select * from b
-- references: x

-- title: postgres: lateral subqueries read tables of their own
-- dialect: postgres
-- tables: orders; items (order_id integer)
select * from orders o left join lateral (select * from items i where i.order_id = o.id limit 3) t on true
-- references: orders, items

-- title: postgres: a FROM list, each subquery correlated
-- dialect: postgres
-- tables: payments (order_id integer, day date); refunds (order_id integer); late; limits (x integer); orders (id integer, x integer, a integer, b integer); vip; blocked (a integer, b integer)
select (select max(p.day) from payments p where p.order_id = o.id),
  exists (select from refunds r where r.order_id = o.id), o.id = any (select id from late), o.x > all (table limits)
from orders o where o.id in (table vip) and (o.a, o.b) not in (select a, b from blocked)
-- references: payments, refunds, late, limits, orders, vip, blocked

-- title: postgres: ONLY and the star of inheritance
-- dialect: postgres
-- tables: orders; customers
select id from only orders join only (customers) using (id)
-- references: orders, customers

-- title: postgres: TABLESAMPLE
-- dialect: postgres
-- tables: orders
select orders.id from orders tablesample bernoulli (10) repeatable (42)
-- references: orders
-- replaced:
select orders.id from "dev_main"."orders_v2" AS "orders" tablesample bernoulli (10) repeatable (42)

-- title: postgres: functions in FROM are no tables
-- dialect: postgres
-- executed: no, it needs functions of its own
select * from orders(1), staging.orders_of(2) as f(a int, b text), json_to_recordset('[]') as j(a int), now()
-- references:

-- title: postgres: ROWS FROM and WITH ORDINALITY
-- dialect: postgres
-- tables: orders
select * from rows from (generate_series(1, 3), unnest(array[1, 2])) with ordinality as t(a, b, n), orders
-- references: orders

-- title: postgres: JSON_TABLE of a column
-- dialect: postgres
-- tables: orders (doc text)
select jt.* from orders o, json_table(o.doc, '$.items[*]' columns (id int path '$.id', name text path '$.name')) as jt
-- references: orders

-- title: postgres: XMLTABLE of a column
-- dialect: postgres
-- tables: feeds (doc xml)
select x.* from feeds f, xmltable('/rows/row' passing f.doc columns id int path '@id') as x
-- references: feeds

-- title: postgres: VALUES in FROM with the name of a table
-- dialect: postgres
-- tables: none
select * from (values (1, 'a'), (2, 'b')) as customers (id, name)
-- references:

-- title: postgres: an alias with columns is no table
-- dialect: postgres
-- tables: orders (x integer, y integer)
select items.a from orders as items (a, b)
-- references: orders

-- title: postgres: the alias of a join
-- dialect: postgres
-- tables: orders; customers
select j.id from (orders join customers using (id)) as j
-- references: orders, customers

-- title: postgres: WINDOW, FILTER and WITHIN GROUP
-- dialect: postgres
-- tables: a (y integer); b; c (x integer); d
select sum(x) filter (where x > (select min(y) from a)) over w,
  (select percentile_cont(0.5) within group (order by (select 1 from b))) from c
window w as (partition by (select 1 from d))
-- references: a, b, c, d

-- title: postgres: GROUPING SETS, HAVING and FETCH FIRST
-- dialect: postgres
-- tables: t (a integer); limits (n bigint); sorts; pages (n integer)
select a, count(*) from t group by grouping sets ((a), ()) having count(*) > (select n from limits)
order by (select 1 from sorts) offset 1 row fetch first (select n from pages) rows only
-- references: t, limits, sorts, pages

-- title: postgres: quoted names with dots, hyphens, spaces and quotes
-- dialect: postgres
-- tables: "a.b"; "my-schema"."my table"; "say ""hi"""; "Ünïcode".tab
select * from "a.b", "my-schema"."my table", "say ""hi""", "Ünïcode".tab
-- references: "a.b", my-schema.my table, say "hi", Ünïcode.tab

-- title: postgres: a name with a dot is not a name with a schema
-- dialect: postgres
-- tables: "staging.orders"; staging.orders
select * from "staging.orders" union all select * from staging.orders
-- references: "staging.orders", staging.orders

-- title: postgres: words in capitals and comments anywhere
-- dialect: postgres
-- tables: orders; s.t
SELECT/* from a */O.ID/*from b*/FROM/*x*/ORDERS/*y*/AS/*z*/O--from c
JOIN/**/S/*.*/./*.*/T/**/ON/**/TRUE
-- references: orders, s.t

-- title: postgres: nested comments
-- dialect: postgres
-- tables: d
select /* from a /* from b */ from c */ 1 from d /* /* */ */
-- references: d

-- title: postgres: strings of every kind
-- dialect: postgres
-- tables: f
select 'from a', e'\' from b', $$ from c $$, $x$ from $$ d $x$, U&'\0061', B'101', X'1F', N'from e' from f
-- references: f

-- title: postgres: operators that look like placeholders
-- dialect: postgres
-- tables: t (doc jsonb, a integer, b text)
select doc ->> 'a', doc #>> '{a,b}', doc @> '{}', doc ? 'k', doc ?| array['a'], a::text, b::numeric(10, 2)[] from t
-- references: t

-- title: postgres: information_schema with a catalog
-- dialect: postgres
-- executed: no, `shop` is the name of another database
select * from shop.information_schema.columns, pg_catalog.pg_stat_activity, pg_stat_user_tables, pg_tables
-- references:

-- title: postgres: a table of one's own schema that is named like a catalog's
-- dialect: postgres
-- tables: audit.pg_class; audit.columns
select * from audit.pg_class, audit.columns
-- references: audit.pg_class, audit.columns

-- title: postgres: fields of a composite column
-- dialect: postgres
-- executed: no, it needs a type of its own
select (o).customer, (o.address).city, (s.orders.address).zip from s.orders, orders o
-- references: s.orders, orders

-- title: postgres: whole rows
-- dialect: postgres
-- tables: orders
select o, o.*, to_jsonb(o), row(o.*) from orders o
-- references: orders

-- title: postgres: a set operation of every kind
-- dialect: postgres
-- tables: a; b; c; d
table a union all table b except (select * from c intersect all select * from d) order by 1
-- references: a, b, c, d

-- title: postgres: USING with an alias
-- dialect: postgres
-- tables: orders; customers
select j.id from orders join customers using (id) as j
-- references: orders, customers

-- title: postgres: a self join of an incremental's own table
-- dialect: postgres
-- tables: raw.events (at text); marts.events (at text)
select * from raw.events e where e.at > (select coalesce(max(at), '-infinity') from marts.events)
-- references: raw.events, marts.events

-- title: postgres: CASE and COALESCE hold subqueries
-- dialect: postgres
-- tables: x (a integer); y (a integer); z (a integer); w (a integer)
select case when a in (select a from x) then (select 1 from y) else coalesce((select 2 from z), 0) end from w
-- references: x, y, z, w

-- title: postgres: arrays of a query
-- dialect: postgres
-- tables: orders
select array(select id from orders order by id), array[[1, 2]] from (select 1) s
-- references: orders

-- title: postgres: FOR UPDATE, its OF names and SKIP LOCKED
-- dialect: postgres
-- tables: jobs; queues
select * from jobs j join queues q using (id) for update of j skip locked
-- references: jobs, queues

-- title: postgres: a regclass is a text
-- dialect: postgres
-- executed: no, there must be an `orders`, which it does not read
select 'orders'::regclass, to_regclass('staging.orders'), nextval('seq_orders')
-- references:

-- title: postgres: a CTE in capitals is the one in small letters
-- dialect: postgres
-- tables: t; "MyCte"
with MyCte as (select * from T) select * from mycte, "mycte" as again, "MyCte"
-- references: t, MyCte

-- title: postgres: IS JSON with its words
-- dialect: postgres
-- tables: orders (doc text)
select doc is json with unique keys, doc is not json object without unique keys from orders
-- references: orders

-- title: postgres: the distance of vectors
-- dialect: postgres
-- executed: no, it needs an extension
select id from items order by embedding <#> '[3,1,2]', (select max(x) from other) limit 5
-- references: items, other

-- title: postgres: operators of several characters
-- dialect: postgres
-- tables: shapes (id integer, p point, b box, ip inet); others (p point)
select id from shapes s where b |&> box '((0,0),(1,1))' and not p ~= (select max(p::text)::point from others)
  and s.ip <<= cidr '10.0.0.0/8' and b |>> b and -id*-1 < 2 and 'a' ~<~ 'b'
-- references: shapes, others
-- replaced:
select id from "dev_main"."shapes_v2" s where b |&> box '((0,0),(1,1))' and not p ~= (select max(p::text)::point from "dev_main"."others_v2" AS "others")
  and s.ip <<= cidr '10.0.0.0/8' and b |>> b and -id*-1 < 2 and 'a' ~<~ 'b'

-- title: postgres: an operator behind another sign
-- dialect: postgres
-- tables: lines (a integer, s lseg, doc jsonb); others (x integer)
select @-@ s, a*-- all
  -(select x from others), doc@>'{}' from lines order by a using <, doc::text using ~<~
-- references: others, lines

-- title: postgres: SEARCH and CYCLE by several columns
-- dialect: postgres
-- tables: graph (f integer, t integer); cycle (f integer)
with recursive walk(f, t) as (
  select f, t from graph union all select g.f, g.t from graph g join walk on g.f = walk.t
) search depth first by f, t set ord cycle f, t set is_cycle to 'Y' default 'N' using path
select walk.ord, walk.is_cycle from walk, cycle
-- references: graph, graph, cycle

-- title: postgres: numbers with underscores and in octal
-- dialect: postgres
-- tables: q1_sales (id integer)
select 1_000_000 as million, .5_0, 1_0.2_5e1_0, 0o17, 0O_1_7 from q1_sales where id < 1_500
-- references: q1_sales

-- title: postgres: IS NORMALIZED
-- dialect: postgres
-- tables: names (name text, nfc boolean, normalized boolean)
select normalized, nfc from names where name is nfc normalized and name is not normalized
-- references: names

-- title: postgres: the views and tables of its catalog
-- dialect: postgres
-- tables: orders
select o.id from orders o, pg_ts_dict, pg_amop, pg_stats_ext, pg_stat_io, pg_stat_wal, pg_config,
  pg_largeobject, pg_default_acl, pg_prepared_xacts, pg_publication_tables, pg_shdepend
-- references: orders

-- title: a reserved word behind a dot
-- dialect: postgres
-- tables: raw."order" (id integer)
select raw.order.id from raw.order
-- references: raw.order
-- replaced:
select "order".id from "dev_raw"."order_v2" AS "order"

-- title: postgres: a query for another server
-- dialect: postgres
-- executed: no, dblink is an extension
select * from dblink('host=far', 'select 1') as t (x integer)
-- references:

-- title: postgres: a star behind a table
-- dialect: postgres
-- tables: orders (id integer); raw.items (id integer)
select orders.id, i.id from orders * join raw.items * as i on i.id * 1 = orders.id
-- references: orders, raw.items
-- replaced:
select orders.id, i.id from "dev_main"."orders_v2" AS "orders" join "dev_raw"."items_v2" as i on i.id * 1 = orders.id

-- title: postgres: names with escapes
-- dialect: postgres
-- tables: tab (id integer); raw."Items" (id integer)
select U&"t\0061b".id from U&"t\0061b" join raw.U&"!0049tems" uescape '!' as i on i.id = tab.id
-- references: tab, raw.Items
-- replaced:
select U&"t\0061b".id from "dev_main"."tab_v2" AS "tab" join "dev_raw"."Items_v2" as i on i.id = tab.id

-- title: postgres: a table as XML
-- dialect: postgres
-- executed: no, PostgreSQL does not say which tables are named in texts
select table_to_xml('raw.items', true, false, ''), table_to_xmlschema('orders'::regclass, true, false, '') from orders
-- references: raw.items, orders, orders
-- replaced:
select table_to_xml('"dev_raw"."items_v2"', true, false, ''), table_to_xmlschema('"dev_main"."orders_v2"'::regclass, true, false, '') from "dev_main"."orders_v2" AS "orders"
