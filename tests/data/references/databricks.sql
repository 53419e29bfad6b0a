-- title: databricks: a CTE of the name of its table, in any case
-- dialect: databricks
-- tables: orders
with Orders as (select * from orders) select * from ORDERS
-- references: orders

-- title: databricks: LATERAL VIEW reads columns
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `lateral` on
select o.id, item.sku, t from raw.orders o lateral view outer explode(o.items) i as item lateral view posexplode(item.tags) x as p, t
-- references: raw.orders

-- title: databricks: table functions in FROM
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `1` on
select * from range(10), explode(array(1, 2)) as e(x), read_files('s3://b/x', format => 'json') f, raw.my_function(1)
-- references:

-- title: databricks: explode of a column of the table before it
-- dialect: databricks
-- executed: no, DuckDB does not parse it
select * from raw.orders o, lateral explode(o.items) as t(item) join lateral (select * from raw.prices p where p.id = item.id) q
-- references: raw.orders, raw.prices

-- title: databricks: files of every format
-- dialect: databricks
-- executed: no, DuckDB knows no back-ticks
select * from delta.`/mnt/x`, json.`s3://b/*.json` j, csv.`abfss://c@a/x.csv`, text.`dbfs:/x.txt`, binaryFile.`/x/y`
-- references:

-- title: databricks: a schema that is named like a format
-- dialect: databricks
-- tables: delta.orders; json.events
select * from delta.orders, json.events
-- references: delta.orders, json.events

-- title: databricks: time travel by words
-- dialect: databricks
-- executed: no, `main` is no catalog in DuckDB
select o.id from main.raw.orders version as of 12 as o join raw.items timestamp as of '2024-01-01' i using (id)
-- references: main.raw.orders, raw.items

-- title: databricks: time travel by @
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `@` on
select * from raw.orders@v12
-- references: raw.orders

-- title: databricks: TABLESAMPLE, where the alias would come after it
-- dialect: databricks
-- tables: raw.orders
select * from raw.orders tablesample (10 percent)
-- references: raw.orders
-- replaced:
select * from `dev_raw`.`orders_v2` tablesample (10 percent)

-- title: databricks: semi and anti joins
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `semi` on
select * from a left semi join b on a.id = b.id left anti join c using (id) anti join d on true
-- references: a, b, c, d

-- title: databricks: PIVOT and UNPIVOT
-- dialect: databricks
-- tables: raw.sales (amount integer, quarter varchar); raw.wide (x integer, y integer)
select * from raw.sales pivot (sum(amount) as s for quarter in ('a' as q1, 'b' as q2))
union all select * from raw.wide unpivot include nulls (v for k in (x, y))
-- references: raw.sales, raw.wide

-- title: databricks: inline tables
-- dialect: databricks
-- tables: none
select * from values (1, 'a'), (2, 'b') as orders(id, name)
-- references:

-- title: databricks: names in text by IDENTIFIER
-- dialect: databricks
-- executed: no, DuckDB has no identifier()
select * from identifier('raw.orders') o
-- references: raw.orders

-- title: databricks: a stream of a table
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `.` on
select * from stream(raw.orders) s join stream raw.items using (id)
-- references: raw.orders, raw.items

-- title: databricks: a table as a function's argument
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `table` on
select * from my_function(table(raw.orders), x => 1)
-- references: raw.orders

-- title: databricks: information_schema and the system catalog
-- dialect: databricks
-- executed: no, DuckDB looks for a table `billing.usage`
select * from system.billing.usage, main.information_schema.tables, information_schema.columns, system.access.audit a
-- references:

-- title: databricks: paths into JSON and structs
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `:` on
select o.doc:customers[0].id::int, o.address.city, raw.orders.address.zip from raw.orders, raw.orders o
-- references: raw.orders, raw.orders

-- title: databricks: higher-order functions
-- dialect: databricks
-- executed: no, DuckDB has no transform()
select transform(xs, x -> x + (select max(y) from raw.m)), filter(xs, (x, i) -> i > 1), aggregate(xs, 0, (a, x) -> a + x) from raw.t
-- references: raw.m, raw.t

-- title: databricks: CTEs of nested queries
-- dialect: databricks
-- tables: x; y
with a as (with a as (select * from x) select * from a) select * from a union all (with b as (table y) select b.* from b, a)
-- references: x, y

-- title: databricks: QUALIFY and star expressions
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `a` on
select * except (a), count(*) over () from raw.t where a in (select a from raw.u) qualify rank() over (order by b) = 1
-- references: raw.t, raw.u

-- title: databricks: back-ticks with dashes, dots and doubled ticks
-- dialect: databricks
-- executed: no, DuckDB knows no back-ticks
select * from `my-cat`.`my schema`.`a.b`, `say ``hi```
-- references: my-cat.my schema."a.b", say `hi`

-- title: databricks: strings and hints
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `' from e -- from f` on
select /*+ broadcast(b) */ "from a", r'\from c', 'it\'s from d' from e -- from f
-- references: e

-- title: databricks: FROM first
-- dialect: databricks
-- tables: raw.orders (x integer, id integer)
from raw.orders select id where x > 1
-- references: raw.orders

-- title: databricks: pipes
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `|>` on
from raw.orders |> where x > 1 |> select id
-- references: raw.orders

-- title: databricks: named parameters
-- dialect: databricks
-- executed: no, DuckDB has no date_format()
select :year, date_format(d, 'HH:mm') from raw.t where id = :id
-- references: raw.t
-- replaced:
select 2013, date_format(d, 'HH:mm') from `dev_raw`.`t_v2` AS `t` where id = 1

-- title: databricks: a recursive CTE
-- dialect: databricks
-- tables: none
with recursive n(i) as (values (1) union all select i + 1 from n where i < 5) select * from n
-- references:

-- title: databricks: CLUSTER BY, DISTRIBUTE BY and WINDOW
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `distribute` on
select *, sum(x) over w from raw.t window w as (partition by y) distribute by y sort by x
-- references: raw.t

-- title: databricks: set operations
-- dialect: databricks
-- executed: no, DuckDB does not parse it, from `select` on
select * from a minus select * from b union (select * from c intersect all table d)
-- references: a, b, c, d

-- title: databricks: the changes of a table, and what follows a list of values
-- dialect: databricks
-- executed: no, DuckDB has no table_changes()
select * from values (1), (2), raw.t join table_changes('raw.`Orders`', 1) c on c.id = t.doc:Id
-- references: raw.t, raw.orders

-- title: databricks: a query for another server
-- dialect: databricks
-- executed: no, DuckDB has no remote_query()
select * from remote_query('conn', query => 'select 1')
-- references:
