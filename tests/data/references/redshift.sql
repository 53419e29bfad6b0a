-- title: redshift: quoted names fold too
-- dialect: redshift
-- tables: sales.items
with "Orders" as (select 1 as id) select * from orders, "Sales"."Items"
-- references: sales.items

-- title: redshift: a CTE of the name of its table
-- dialect: redshift
-- tables: orders
with orders as (select * from orders) select * from orders
-- references: orders

-- title: redshift: arrays of a SUPER column, two levels deep
-- dialect: redshift
-- executed: no, DuckDB does not parse it, from `i` on
select c.name, o.id, l.sku from raw.customers c, c.orders o, o.lines as l at i
-- references: raw.customers

-- title: redshift: UNPIVOT of an object
-- dialect: redshift
-- executed: no, DuckDB does not parse it, from `unpivot` on
select attr, val from raw.events e, unpivot e.props as val at attr
-- references: raw.events

-- title: redshift: an array of a CTE
-- dialect: redshift
-- executed: no, DuckDB looks for a table `c.orders`
with c as (select * from raw.customers) select * from c, c.orders as o
-- references: raw.customers

-- title: redshift: external schemas and three parts
-- dialect: redshift
-- executed: no, `dev` is the name of another database
select * from spectrum.events e join dev.public.users u on u.id = e.user_id
-- references: spectrum.events, dev.public.users

-- title: redshift: system tables and views
-- dialect: redshift
-- executed: no, DuckDB looks for a table `stv_recents`
select * from stv_recents, svv_tables, stl_query q, pg_table_def, sys_query_history, svl_qlog, pg_catalog.stv_inflight
-- references:

-- title: redshift: a late-binding name that looks like a system table
-- dialect: redshift
-- tables: raw.stl_query; raw.pg_table_def
select * from raw.stl_query, raw.pg_table_def
-- references: raw.stl_query, raw.pg_table_def

-- title: redshift: LISTAGG, approximate counts and intervals
-- dialect: redshift
-- executed: no, DuckDB does not parse it, from `(` on
select listagg(x, ',') within group (order by y), approximate count(distinct z), dateadd(day, -1, d)::date from raw.t
-- references: raw.t

-- title: redshift: QUALIFY
-- dialect: redshift
-- tables: raw.t (a integer, b integer)
select * from raw.t qualify row_number() over (partition by a order by b) = 1
-- references: raw.t

-- title: redshift: PIVOT and UNPIVOT
-- dialect: redshift
-- tables: raw.t (a integer, b integer, f integer, e integer); raw.u (f integer, e integer)
select * from (select a, b from raw.t) pivot (count(a) for b in (1, 2)) union all select * from raw.u unpivot (c for d in (e, f))
-- references: raw.t, raw.u

-- title: redshift: TOP and EXCLUDE
-- dialect: redshift
-- executed: no, DuckDB does not parse it, from `10` on
select top 10 * exclude a from raw.t
-- references: raw.t

-- title: redshift: a recursive CTE
-- dialect: redshift
-- tables: raw.t
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5) select * from n join raw.t on t.id = n.i
-- references: raw.t

-- title: redshift: JSON paths of a SUPER column
-- dialect: redshift
-- tables: raw.events (props json, x integer)
select e.props.customers.id, e.props."Orders"[0].id, json_extract_path_text(x, 'from') from raw.events e
-- references: raw.events

-- title: redshift: MINUS
-- dialect: redshift
-- executed: no, DuckDB does not parse it, from `select` on
select id from a minus select id from b
-- references: a, b

-- title: redshift: correlated subqueries and EXISTS
-- dialect: redshift
-- tables: raw.a (x integer, id integer); raw.b (x integer, id integer); raw.c (x integer)
select * from raw.a where exists (select 1 from raw.b where b.id = a.id) and x = (select max(x) from raw.c)
-- references: raw.a, raw.b, raw.c
-- replaced:
select * from "dev_raw"."a_v2" AS "a" where exists (select 1 from "dev_raw"."b_v2" AS "b" where b.id = a.id) and x = (select max(x) from "dev_raw"."c_v2" AS "c")

-- title: redshift: a second table of the schema whose name the first table has
-- dialect: redshift
-- tables: usage.usage; usage.companies
select * from usage.usage join usage.companies on companies.id = usage.id
-- references: usage.usage, usage.companies

-- title: redshift: the same with a comma
-- dialect: redshift
-- tables: usage.usage; usage.companies
select usage.id, companies.id from usage.usage, usage.companies
-- references: usage.usage, usage.companies
-- replaced:
select usage.id, companies.id from "dev_usage"."usage_v2" AS "usage", "dev_usage"."companies_v2" AS "companies"

-- title: redshift: a star behind a table
-- dialect: redshift
-- tables: raw.t; raw.u
select t.id from raw.t * join raw.u * as u on u.id = t.id
-- references: raw.t, raw.u

-- title: redshift: arrays in arrays, the last without an alias
-- dialect: redshift
-- executed: no, DuckDB does not know arrays in FROM
select * from sales.orders as o, o.items as i, i.tags, o.a.b
-- references: sales.orders
