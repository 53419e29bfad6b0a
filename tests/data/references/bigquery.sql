-- title: bigquery: a CTE is found in any case, a table is not
-- dialect: bigquery
-- executed: no, to DuckDB it is ambiguous, as names of tables have no case there
with Orders as (select * from sales.Orders) select * from ORDERS join sales.orders using (id)
-- references: sales.Orders, sales.orders

-- title: bigquery: a CTE of the name of its table
-- dialect: bigquery
-- tables: orders
with orders as (select * from orders) select * from orders
-- references: orders

-- title: bigquery: WITH RECURSIVE sees in any order
-- dialect: bigquery
-- executed: no, DuckDB sees only the CTEs before
with recursive a as (select * from b), b as (select * from c), r as (select 1 as n union all select n + 1 from r where n < 3)
select * from a, r
-- references: c

-- title: bigquery: without RECURSIVE only what is before is seen
-- dialect: bigquery
-- tables: b
with a as (select * from b), b as (select 1 as x) select * from a
-- references: b

-- title: bigquery: each part in back-ticks of its own
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select * from `my-proj`.`sales`.`orders` join `sales`.orders o using (id)
-- references: my-proj.sales.orders, sales.orders

-- title: bigquery: one pair of back-ticks for project and dataset
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select * from `my-proj.sales`.orders
-- references: my-proj.sales.orders

-- title: bigquery: a project with dashes and no back-ticks, in a join
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `-` on
select o.id from my-proj-1.sales.orders as o join my-proj-1.sales.items as i on i.id = o.id
-- references: my-proj-1.sales.orders, my-proj-1.sales.items
-- replaced:
select o.id from `dev_sales`.`orders_v2` as o join `dev_sales`.`items_v2` as i on i.id = o.id

-- title: bigquery: wildcard tables
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select _table_suffix, * from `proj.ga.events_*` where _table_suffix between '20240101' and '20240131'
-- references: proj.ga.events_*

-- title: bigquery: a wildcard with its project apart
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select count(*) from proj.`ga.events_2024*`
-- references: proj.ga.events_2024*

-- title: bigquery: date-sharded tables and partition decorators
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select * from `ga.events_20240101` union all select * from `ga.daily$20240101`
-- references: ga.events_20240101, ga.daily$20240101

-- title: bigquery: INFORMATION_SCHEMA of dataset, region and project
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select * from sales.INFORMATION_SCHEMA.COLUMNS, `region-us`.INFORMATION_SCHEMA.JOBS,
  `proj.region-us.INFORMATION_SCHEMA.JOBS_BY_PROJECT`, proj.sales.INFORMATION_SCHEMA.TABLES t, INFORMATION_SCHEMA.SCHEMATA
-- references:

-- title: bigquery: __TABLES__ of a dataset
-- dialect: bigquery
-- executed: no, DuckDB knows no back-ticks
select * from sales.__TABLES__, `proj.sales.__TABLES_SUMMARY__`
-- references:

-- title: bigquery: UNNEST of columns, arrays and struct paths
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `with` on
select * from orders o, unnest(o.items) as item with offset as n, unnest(item.tags) tag, unnest([1, 2]) x,
  unnest(generate_date_array('2024-01-01', '2024-01-31')) as day left join unnest(o.notes) note
-- references: orders

-- title: bigquery: a path of arrays in FROM, through two levels
-- dialect: bigquery
-- executed: no, DuckDB looks for a table `o.items`
select * from sales.orders as o, o.items as i, i.tags, o.a.b
-- references: sales.orders

-- title: bigquery: an array path of a table without alias
-- dialect: bigquery
-- executed: no, DuckDB does not parse it
select * from sales.orders, orders.items left join orders.notes
-- references: sales.orders

-- title: bigquery: an array path of a CTE that is read before it
-- dialect: bigquery
-- executed: no, DuckDB looks for a table `o.items`
with o as (select * from sales.orders) select * from o, o.items
-- references: sales.orders

-- title: bigquery: an array path of the outer query's table
-- dialect: bigquery
-- executed: no, DuckDB looks for a table `o.items`
select * from sales.orders o where exists (select 1 from o.items i where i.id = 1) and 2 in (select x from unnest(o.xs) x)
-- references: sales.orders

-- title: bigquery: a dataset that is named like a CTE that is not in FROM
-- dialect: bigquery
-- tables: o.items
with o as (select 1 as x) select * from o.items
-- references: o.items

-- title: bigquery: struct fields that are named like tables
-- dialect: bigquery
-- tables: sales.orders (customers json); sales.o (sales json)
select orders.customers.id, o.sales.orders from sales.orders, sales.o
-- references: sales.orders, sales.o

-- title: bigquery: time travel, the alias comes first
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `system_time` on
select orders.id from sales.orders for system_time as of timestamp_sub(current_timestamp(), interval 1 hour)
-- references: sales.orders

-- title: bigquery: TABLESAMPLE
-- dialect: bigquery
-- tables: sales.orders
select * from sales.orders tablesample system (10 percent)
-- references: sales.orders

-- title: bigquery: QUALIFY, EXCEPT and REPLACE
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `a` on
select * except (a) replace (b + 1 as b) from sales.orders
where true qualify row_number() over (partition by id order by (select max(x) from sales.days)) = 1
-- references: sales.orders, sales.days

-- title: bigquery: PIVOT and UNPIVOT
-- dialect: bigquery
-- tables: sales.orders (amount integer, quarter varchar); sales.wide (q1 integer, q2 integer)
select * from (select * from sales.orders) pivot (sum(amount) for quarter in ('Q1', 'Q2'))
union all select * from sales.wide unpivot (amount for quarter in (q1, q2))
-- references: sales.orders, sales.wide

-- title: bigquery: a query of an array
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `as` on
select array(select as struct id, name from sales.items i where i.id = o.id), [1, 2][offset(0)] from sales.orders o
-- references: sales.items, sales.orders

-- title: bigquery: a table-valued function of one's own
-- dialect: bigquery
-- executed: no, DuckDB has no orders_since()
select * from sales.orders_since(date '2024-01-01') f join sales.items using (id)
-- references: sales.items

-- title: bigquery: what ML.PREDICT is given
-- dialect: bigquery
-- executed: no, DuckDB has no predict()
select * from ml.predict(model `sales.churn`, (select * from sales.customers))
-- references: sales.customers

-- title: bigquery: tables that are arguments of functions
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `sales` on
select * from ml.forecast(model sales.m, struct(30 as horizon)), appends(table sales.orders, null, null),
  vector_search(table sales.base, 'emb', table sales.queries, top_k => 2)
-- references: sales.orders, sales.base, sales.queries

-- title: bigquery: EXTERNAL_QUERY runs elsewhere
-- dialect: bigquery
-- executed: no, DuckDB has no external_query()
select * from external_query('proj.us.conn', 'select * from customers')
-- references:

-- title: bigquery: strings of every kind
-- dialect: bigquery
-- executed: no, DuckDB does not parse it
select 'from a', "from b", r'\from c', b'from d', '''from
e''', """from "f" """, rb"from g" from h -- from i
# from j
-- references: h

-- title: bigquery: set operations
-- dialect: bigquery
-- tables: a; b; c; d
select 1 from a union distinct (select 1 from b except distinct select 1 from c) intersect distinct select 1 from d
-- references: a, b, c, d

-- title: bigquery: parameters and system variables
-- dialect: bigquery
-- executed: no, DuckDB has no @@
select @year, @@project_id, date_trunc(d, month) from sales.orders where id = @id
-- references: sales.orders
-- replaced:
select 2013, @@project_id, date_trunc(d, month) from `dev_sales`.`orders_v2` AS `orders` where id = 1

-- title: bigquery: columns by dataset and table
-- dialect: bigquery
-- tables: sales.orders (name integer, id integer, address json)
select sales.orders.id, orders.name, sales.orders.address.city from sales.orders
-- references: sales.orders

-- title: bigquery: the row as a value, and EXISTS
-- dialect: bigquery
-- executed: no, DuckDB has no to_json_string()
select o, to_json_string(o), exists(select 1 from sales.late l where l.id = o.id) from sales.orders o
-- references: sales.late, sales.orders

-- title: bigquery: a recursive name in another case
-- dialect: bigquery
-- tables: none
with recursive Walk as (select 1 as n union all select n + 1 from WALK where n < 3) select * from walk
-- references:

-- title: bigquery: pipe syntax
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `|>` on
from sales.orders |> where x > 1 |> join sales.items using (id) |> aggregate sum(a) as s group by id |> order by s
-- references: sales.orders, sales.items

-- title: bigquery: keywords as columns
-- dialect: bigquery
-- executed: no, DuckDB does not parse it, from `from` on
select `from`, o.order, o.`select`, date, timestamp from `sales`.`table` as o
-- references: sales.table

-- title: bigquery: names of tables that begin with digits
-- dialect: bigquery
-- executed: no, DuckDB knows no such names
select a.x, 0.5, f(x, .5), 1.5 from sales.2023_orders as a, proj.sales.20240101, `sales.2022_orders` join 2021_orders using (x)
-- references: sales.2023_orders, proj.sales.20240101, sales.2022_orders, 2021_orders
-- replaced:
select a.x, 0.5, f(x, .5), 1.5 from `dev_sales`.`2023_orders_v2` as a, `dev_sales`.`20240101_v2` AS `20240101`, `dev_sales`.`2022_orders_v2` AS `2022_orders` join `dev_main`.`2021_orders_v2` AS `2021_orders` using (x)

-- title: bigquery: dashes in any part of a name
-- dialect: bigquery
-- executed: no, DuckDB knows no such names
select a.x * 1 from data-1.table-2d as a join my-data.orders using (x) join `a-b`.c on a.x-c.x = 1
-- references: data-1.table-2d, my-data.orders, a-b.c
-- replaced:
select a.x * 1 from `dev_data-1`.`table-2d_v2` as a join `dev_my-data`.`orders_v2` AS `orders` using (x) join `dev_a-b`.`c_v2` AS `c` on a.x-c.x = 1

-- title: bigquery: a dataset that is named like its table
-- dialect: bigquery
-- executed: no, DuckDB has no paths of arrays in FROM
select * from orders.orders, orders.items union all select * from items.items join orders.items as o on true
-- references: orders.orders, items.items, orders.items
