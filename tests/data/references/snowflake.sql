-- title: snowflake: a CTE of the name of its table
-- dialect: snowflake
-- tables: "ORDERS"
with orders as (select * from orders) select * from orders
-- references: ORDERS

-- title: snowflake: the first half of a recursive CTE
-- dialect: snowflake
-- tables: "RAW"."NODES" (parent_id integer, id integer)
with recursive tree as (
  select id, parent_id from raw.nodes where parent_id is null
  union all select n.id, n.parent_id from raw.nodes n join tree t on t.id = n.parent_id
) select * from TREE
-- references: RAW.NODES, RAW.NODES

-- title: snowflake: quoted names keep their case
-- dialect: snowflake
-- executed: no, names have no case in DuckDB
select * from "orders", Orders, "ORDERS", "My-Db"."my schema"."t.x"
-- references: orders, ORDERS, ORDERS, My-Db.my schema."t.x"

-- title: snowflake: a quoted CTE and the same word unquoted
-- dialect: snowflake
-- executed: no, names have no case in DuckDB
with "orders" as (select 1 as x) select * from orders, "orders"
-- references: ORDERS

-- title: snowflake: FLATTEN in every form
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `:` on
select f.value:id::int, g.index from raw.orders o, lateral flatten(input => o.items) f,
  table(flatten(o.src:lines, outer => true)) g left join lateral flatten(input => parse_json(o.x)) h
-- references: RAW.ORDERS

-- title: snowflake: table functions are no tables
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `table` on
select * from table(generator(rowcount => 10)), table(result_scan(last_query_id())), table(db.sch.my_udtf(1)),
  table(split_to_table('a,b', ',')) s, table(information_schema.task_history(result_limit => 10))
-- references:

-- title: snowflake: a table function over a table's rows
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `table` on
select * from raw.orders o, table(analyse(o.id, o.name) over (partition by o.id)) as t
-- references: RAW.ORDERS

-- title: snowflake: names in text by TABLE and IDENTIFIER
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `table` on
select * from table('raw.orders') a join identifier('raw.items') b on a.id = b.id
-- references: RAW.ORDERS, RAW.ITEMS

-- title: snowflake: stages are files
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `$2` on
select $1, t.$2, metadata$filename from @raw.my_stage/path/ (file_format => 'csv', pattern => '.*csv') t, @~/x.csv, @%orders
-- references:

-- title: snowflake: time travel
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `o` on
select * from raw.orders at (timestamp => '2024-01-01'::timestamp) o join raw.items before (statement => 'abc') i on o.id = i.id
-- references: RAW.ORDERS, RAW.ITEMS

-- title: snowflake: changes of a table
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `=>` on
select * from raw.orders changes (information => default) at (offset => -60)
-- references: RAW.ORDERS

-- title: snowflake: SAMPLE
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `10` on
select * from raw.orders sample (10 rows), raw.items i tablesample bernoulli (3)
-- references: RAW.ORDERS, RAW.ITEMS

-- title: snowflake: QUALIFY with a subquery
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `desc` on
select * from raw.orders qualify row_number() over (partition by id order by at desc) <= (select n from raw.limits)
-- references: RAW.ORDERS, RAW.LIMITS

-- title: snowflake: PIVOT, also with a subquery for the values
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `select` on
select * from raw.sales pivot (sum(amount) for quarter in (select q from raw.quarters)) as p
-- references: RAW.SALES, RAW.QUARTERS

-- title: snowflake: UNPIVOT
-- dialect: snowflake
-- tables: "RAW"."WIDE" (feb integer, jan integer)
select * from raw.wide unpivot (amount for month in (jan, feb)) order by 1
-- references: RAW.WIDE

-- title: snowflake: MATCH_RECOGNIZE
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `by` on
select * from raw.prices match_recognize (
  partition by symbol order by day measures last(day) as d one row per match
  pattern (start down+) define down as price < lag(price)
)
-- references: RAW.PRICES

-- title: snowflake: as-of join
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `match_condition` on
select * from raw.trades t asof join raw.quotes q match_condition (t.at >= q.at) on t.symbol = q.symbol
-- references: RAW.TRADES, RAW.QUOTES

-- title: snowflake: CONNECT BY
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `with` on
select id, level from raw.staff start with boss is null connect by boss = prior id
-- references: RAW.STAFF

-- title: snowflake: VALUES and its columns
-- dialect: snowflake
-- executed: no, $2 is a parameter in DuckDB
select column1, $2 from values (1, 'a'), (2, 'b') as orders
-- references:

-- title: snowflake: information_schema and the SNOWFLAKE database
-- dialect: snowflake
-- executed: no, `raw` is the name of another database
select * from raw.information_schema.tables, information_schema.columns, snowflake.account_usage.query_history, "SNOWFLAKE"."CORE"."X"
-- references:

-- title: snowflake: EXCLUDE, RENAME and ILIKE on a star
-- dialect: snowflake
-- tables: raw.orders (a integer, b integer, xy integer)
select * exclude (a) rename (b as c), o.* ilike '%x%' from raw.orders o
-- references: RAW.ORDERS

-- title: snowflake: paths through a variant that look like tables
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `:` on
select src:customers.orders[0].id::string, o.src['items'], raw.orders.src:a from raw.orders o2, raw.orders
-- references: RAW.ORDERS, RAW.ORDERS

-- title: snowflake: a catalog left empty
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `..` on
select * from shop..orders
-- references: SHOP.PUBLIC.ORDERS

-- title: snowflake: three parts
-- dialect: snowflake
-- tables: "SHOP"."RAW"."ORDERS"
select shop.raw.orders.id from shop.raw.orders
-- references: SHOP.RAW.ORDERS
-- replaced:
select orders.id from "dev_RAW"."ORDERS_v2" AS "ORDERS"

-- title: snowflake: strings and comments
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `', $$from '` on
select 'it\'s from a', $$from 'b'$$, '--', 'from c' // from d
from e -- from f
-- references: E

-- title: snowflake: a CTE before UNION in a subquery
-- dialect: snowflake
-- tables: "X"; "Y"; "A"
select * from (with a as (select * from x) select * from a union all select * from y) join a using (id)
-- references: X, Y, A

-- title: snowflake: session variables and bind variables
-- dialect: snowflake
-- executed: no, $1 is a parameter in DuckDB
select $1, $run_date, :year from raw.orders where id = :id
-- references: RAW.ORDERS

-- title: snowflake: correlated subqueries in SELECT
-- dialect: snowflake
-- executed: no, DuckDB has no iff()
select o.id, (select max(p.at) from raw.payments p where p.order_id = o.id) as paid,
  iff(o.id in (select id from raw.vip), 1, 0) from raw.orders o
-- references: RAW.PAYMENTS, RAW.VIP, RAW.ORDERS

-- title: snowflake: natural, full and using joins
-- dialect: snowflake
-- tables: "A"; "B"; "C"; "D"; "E"; "F"
select * from a natural join b full outer join c using (id) cross join d left join (e inner join f on true) on true
-- references: A, B, C, D, E, F

-- title: snowflake: GROUP BY ALL, grouping sets and higher-order functions
-- dialect: snowflake
-- executed: no, DuckDB does not parse it, from `int` on
select transform(xs, x -> x + 1), filter(xs, x int -> x > 1), count(*) from raw.orders group by all
-- references: RAW.ORDERS

-- title: snowflake: the directory of a stage
-- dialect: snowflake
-- executed: no, DuckDB has no directory()
select * from directory(@raw.docs) d
-- references:

-- title: snowflake: the format of a stage's files is no table
-- dialect: snowflake
-- executed: no, DuckDB has no stages
select t.$1, o.id from @my_stage (file_format => my_format) t, raw.orders o
-- references: RAW.ORDERS

-- title: snowflake: what follows a list of values
-- dialect: snowflake
-- executed: no, DuckDB knows no VALUES without parentheses there
select * from values (1), (2), db.o join values (3) v(x) on true, db.p
-- references: DB.O, DB.P

-- title: snowflake: keys of a document have case
-- dialect: snowflake
-- executed: no, DuckDB knows no such paths
select doc:Name.First::varchar as x, docs[0]:Name from raw.t
-- references: RAW.T
