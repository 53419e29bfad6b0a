-- title: mysql: a CTE of the name of its table
-- dialect: mysql
-- tables: orders
with orders as (select * from orders) select * from orders
-- references: orders

-- title: mysql: a CTE in another case is another name
-- dialect: mysql
-- executed: no, names have no case in DuckDB
with Orders as (select 1 as id) select * from orders
-- references: orders

-- title: mysql: double quotes make strings
-- dialect: mysql
-- executed: no, DuckDB does not parse it
select "from a", 'it\'s from b', "it""s" from c where d = "from e"
-- references: c

-- title: mysql: comments of every kind
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `#` on
select 1 # from a
, 2 -- from b
, 3 /* from c */ from d
-- references: d

-- title: mysql: index hints
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `index` on
select * from orders use index (i1) force index for join (i2), items i ignore index (i3)
-- references: orders, items

-- title: mysql: partitions
-- dialect: mysql
-- executed: no, `partition` is an alias in DuckDB
select id from orders partition (p0, p1)
-- references: orders
-- replaced:
select id from `dev_main`.`orders_v2` partition (p0, p1)

-- title: mysql: JSON_TABLE of a column
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `columns` on
select j.* from orders o, json_table(o.doc, '$[*]' columns (id int path '$.id', nested path '$.x[*]' columns (y int path '$'))) as j
-- references: orders

-- title: mysql: lateral
-- dialect: mysql
-- tables: orders; items (order_id integer)
select * from orders o, lateral (select * from items i where i.order_id = o.id limit 1) t
-- references: orders, items

-- title: mysql: VALUES and TABLE
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `row` on
values row(1, 2), row(3, 4) union all table pairs
-- references: pairs

-- title: mysql: DUAL is no table
-- dialect: mysql
-- executed: no, DuckDB looks for a table `dual`
select 1 from dual where exists (select 1 from orders)
-- references: orders

-- title: mysql: system schemas
-- dialect: mysql
-- executed: no, DuckDB looks for a table `mysql.user`
select * from information_schema.tables t, mysql.user u, sys.metrics m, performance_schema.threads
-- references:

-- title: mysql: user variables
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `:=` on
select @n := @n + 1 as n, @@version from orders, (select @n := 0) init
-- references: orders

-- title: mysql: a list of tables in parentheses
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `,` on
select * from a left join (b, c) on b.id = a.id and c.id = a.id
-- references: a, b, c

-- title: mysql: GROUP_CONCAT, MATCH, DIV and REGEXP
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `separator` on
select group_concat(distinct x order by y separator ','), a div b, x regexp '^from' from t where match (x) against ('y' in boolean mode)
-- references: t

-- title: mysql: locks
-- dialect: mysql
-- executed: no, DuckDB does not parse it
select * from orders o join items i using (id) for update of o nowait
-- references: orders, items

-- title: mysql: LOCK IN SHARE MODE and modifiers
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `distinct` on
select sql_no_cache straight_join distinct * from orders lock in share mode
-- references: orders

-- title: mysql: names in back-ticks
-- dialect: mysql
-- executed: no, DuckDB knows no back-ticks
select * from `my-db`.`my table`, `a.b`, `say ``hi```, shop.`from`
-- references: my-db.my table, "a.b", say `hi`, shop.from

-- title: mysql: a recursive CTE
-- dialect: mysql
-- tables: orders
with recursive n (i) as (select 1 union all select i + 1 from n where i < 5) select * from n join orders on orders.id = n.i
-- references: orders

-- title: mysql: set operations with limits
-- dialect: mysql
-- tables: a; b; c
(select id from a order by id limit 3) union distinct (select id from b) except select id from c
-- references: a, b, c

-- title: mysql: columns by database and table
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `.` on
select shop.orders.id, `shop`.`orders`.name from shop.orders
-- references: shop.orders
-- replaced:
select orders.id, `orders`.name from `dev_shop`.`orders_v2` AS `orders`

-- title: mysql: JSON arrows, intervals and casts
-- dialect: mysql
-- executed: no, DuckDB has no _utf8mb4
select doc->'$.from', doc->>'$.a', d + interval 1 day, cast(x as signed), _utf8mb4'from a' collate utf8mb4_bin from t
-- references: t

-- title: mysql: subqueries in every clause
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `with` on
select (select max(x) from a) from b where x in (select x from c) and exists (select * from d) group by x with rollup
having count(*) > (select n from e) order by (select 1 from f) limit 5, 10
-- references: a, b, c, d, e, f

-- title: mysql: natural joins and ODBC's braces
-- dialect: mysql
-- executed: no, DuckDB does not parse it, from `{` on
select * from a natural left join b, { oj c left outer join d on c.id = d.id }
-- references: a, b, c, d

-- title: mysql: a comment that MySQL runs is seen
-- dialect: mysql
-- tables: orders
select /*! straight_join */ id from orders
-- references: orders

-- title: mysql: a modifier of old
-- dialect: mysql
-- executed: no, DuckDB knows no modifiers
select sql_cache id from orders
-- references: orders

-- title: mysql: executed comments join tables, other comments and texts do not
-- dialect: mysql
-- executed: no, DuckDB runs no comments
select '/*! from x */' from db.a /*!80000 join db.b /* join db.c */ using (id) */ join db.d using (id) # /*! db.e
-- references: db.a, db.b, db.d
-- replaced:
select '/*! from x */' from `dev_db`.`a_v2` AS `a` /*!80000 join `dev_db`.`b_v2` AS `b` /* join db.c */ using (id) */ join `dev_db`.`d_v2` AS `d` using (id) # /*! db.e

-- title: mysql: MariaDB's comments are seen as well
-- dialect: mysql
-- executed: no, DuckDB runs no comments
select a.id from a /*M!100100 join b using (id) */
-- references: a, b
