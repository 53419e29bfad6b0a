-- title: tsql: names fold, also in brackets
-- dialect: tsql
-- executed: no, DuckDB knows no names in brackets
with [Recent] as (select * from [Dbo].[Orders]) select * from RECENT r
-- references: dbo.orders

-- title: tsql: a recursive CTE reads itself without the word
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `100` on
with tree as (
  select id, parent_id from dbo.nodes where parent_id is null
  union all select n.id, n.parent_id from dbo.nodes n join tree t on t.id = n.parent_id
) select * from tree option (maxrecursion 100)
-- references: dbo.nodes, dbo.nodes

-- title: tsql: temporary tables and table variables are no references
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `#` on
select * from #recent r join ##shared s on s.id = r.id join @ids i on i.id = r.id join tempdb..#x x on 1 = 1
-- references:

-- title: tsql: the default schema of a database
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `..` on
select * from shop..orders o
-- references: shop.dbo.orders

-- title: tsql: a linked server
-- dialect: tsql
-- executed: no, DuckDB has no names of four parts
select * from [far away].shop.dbo.orders o join shop.dbo.items i on i.id = o.id
-- references: far away.shop.dbo.orders, shop.dbo.items

-- title: tsql: hints
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `with` on
select * from dbo.orders with (nolock, index(ix_1)) inner hash join dbo.items i with (nolock) on i.id = orders.id
-- references: dbo.orders, dbo.items
-- replaced:
select * from [dev_dbo].[orders_v2] AS [orders] with (nolock, index(ix_1)) inner hash join [dev_dbo].[items_v2] i with (nolock) on i.id = orders.id

-- title: tsql: CROSS APPLY and OUTER APPLY
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `apply` on
select * from dbo.orders o cross apply (select top 1 * from dbo.payments p where p.order_id = o.id) t outer apply dbo.lines_of(o.id) l
-- references: dbo.orders, dbo.payments

-- title: tsql: table functions
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `with` on
select * from string_split('a,b', ',') s, openjson(@doc) with (id int '$.id') j, generate_series(1, 10) g
-- references:

-- title: tsql: rows of an XML column
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `apply` on
select n.c.value('@id', 'int') from dbo.feeds f cross apply f.doc.nodes('/rows/row') as n(c)
-- references: dbo.feeds

-- title: tsql: OPENQUERY and OPENROWSET run elsewhere
-- dialect: tsql
-- executed: no, DuckDB has no openquery()
select * from openquery(far, 'select * from customers') q
-- references:

-- title: tsql: time travel
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `system_time` on
select * from dbo.orders for system_time as of '2024-01-01' o join dbo.items for system_time all as i on i.id = o.id
-- references: dbo.orders, dbo.items

-- title: tsql: PIVOT and UNPIVOT
-- dialect: tsql
-- executed: no, brackets are lists in DuckDB
select * from (select a, b, c from dbo.sales) s pivot (sum(c) for b in ([x], [y])) p
union all select * from dbo.wide unpivot (v for k in (a, b)) u
-- references: dbo.sales, dbo.wide

-- title: tsql: system views
-- dialect: tsql
-- executed: no, DuckDB looks for a table `sys.objects`
select * from sys.objects o, information_schema.columns c, master.sys.databases d, INFORMATION_SCHEMA.TABLES
-- references:

-- title: tsql: FOR XML PATH in a subquery
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `xml` on
select stuff((select ',' + i.name from dbo.items i where i.id = o.id for xml path('')), 1, 1, '') from dbo.orders o
-- references: dbo.items, dbo.orders

-- title: tsql: VALUES as a table
-- dialect: tsql
-- tables: none
select * from (values (1, 'a'), (2, 'b')) as orders (id, name)
-- references:

-- title: tsql: names in brackets and quotes
-- dialect: tsql
-- executed: no, DuckDB knows no names in brackets
select [o].[from] from [my schema].[a.b] as [o], "q r"."s", [x]]y]
-- references: my schema."a.b", q r.s, x]y

-- title: tsql: OFFSET, FETCH and OPTION
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `option` on
select id from dbo.orders order by id offset 5 rows fetch next 10 rows only option (recompile)
-- references: dbo.orders

-- title: tsql: set operations and TOP WITH TIES
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `with` on
select top (5) with ties id from a union all select id from b except select id from c intersect select id from d
-- references: a, b, c, d

-- title: tsql: subqueries in every clause
-- dialect: tsql
-- executed: no, to DuckDB its GROUP BY lacks a column
select (select max(x) from a), case when exists (select 1 from b) then 1 end, iif(x in (select x from c), 1, 0)
from d where x > any (select x from e) group by x having count(*) > (select n from f) order by (select null)
-- references: a, b, c, d, e, f

-- title: tsql: columns by schema and table
-- dialect: tsql
-- executed: no, DuckDB knows no names in brackets
select dbo.orders.id, [dbo].[orders].[name], orders.x from dbo.orders
-- references: dbo.orders
-- replaced:
select orders.id, [orders].[name], orders.x from [dev_dbo].[orders_v2] AS [orders]

-- title: tsql: strings, N strings and nested comments
-- dialect: tsql
-- tables: f
select N'from a', 'it''s from b' /* from c /* from d */ from e */ from f -- from g
-- references: f

-- title: tsql: a CTE with columns, then another
-- dialect: tsql
-- tables: dbo.t (x integer, y integer); dbo.a
with a (x, y) as (select x, y from dbo.t), b as (select * from a) select * from b join dbo.a on 1 = 1
-- references: dbo.t, dbo.a

-- title: tsql: a table value's method and JSON
-- dialect: tsql
-- executed: no, DuckDB does not parse it, from `json` on
select json_value(o.doc, '$.customers.id'), o.doc.value('(/a/b)[1]', 'int') from dbo.orders as o for json path
-- references: dbo.orders

-- title: tsql: full text tables read their table
-- dialect: tsql
-- executed: no, DuckDB knows no names in brackets
select * from containstable(dbo.docs, body, 'x') c join dbo.docs d on d.id = c.[key]
-- references: dbo.docs, dbo.docs

-- title: tsql: an alias that is the bare name of another table keeps it
-- dialect: tsql
-- executed: no, DuckDB finds the bare name ambiguous
select orders.id, raw.orders.id as other from raw.orders, dbo.customers as orders
-- references: raw.orders, dbo.customers
-- replaced:
select orders.id, [raw.orders].id as other from [dev_raw].[orders_v2] AS [raw.orders], [dev_dbo].[customers_v2] as orders

-- title: tsql: OPTION with hints by name
-- dialect: tsql
-- executed: no, DuckDB knows no hints
select id from dbo.orders where id in (select id from dbo.late) option (recompile, use hint ('DISALLOW_BATCH_MODE'))
-- references: dbo.orders, dbo.late

-- title: tsql: MATCH of a graph names what stands in FROM
-- dialect: tsql
-- executed: no, DuckDB has no graphs
select p2.name from dbo.person p1, dbo.knows k, dbo.person p2 where match(p1-(k)->p2) and p1.id in (select id from dbo.vip)
-- references: dbo.person, dbo.knows, dbo.person, dbo.vip

-- title: tsql: APPLY of a table is a join
-- dialect: tsql
-- executed: no, DuckDB knows no APPLY
select a.id, b.id from dbo.a outer apply b cross apply dbo.c as x cross apply dbo.lines_of(a.id) l
-- references: dbo.a, b, dbo.c
-- replaced:
select a.id, b.id from [dev_dbo].[a_v2] AS [a] outer apply [dev_main].[b_v2] AS [b] cross apply [dev_dbo].[c_v2] as x cross apply dbo.lines_of(a.id) l

-- title: tsql: index hints with an equals sign
-- dialect: tsql
-- executed: no, DuckDB knows no hints
select a.id from dbo.a with (index = ix_1) join dbo.b as b with (nolock, index = (ix_2)) on a.id = b.id where a.[index] = 1
-- references: dbo.a, dbo.b

-- title: tsql: semantic search and change tracking read their table
-- dialect: tsql
-- executed: no, DuckDB has no changetable()
select * from changetable(changes dbo.o, 0) c join semantickeyphrasetable(dbo.docs, *) k on k.id = c.id
-- references: dbo.o, dbo.docs

-- title: tsql: keys of a document have case
-- dialect: tsql
-- executed: no, DuckDB makes no documents so
select Id from dbo.T as Rows for json auto
-- references: dbo.t
