-- title: clickhouse: a CTE of the name of its table
-- dialect: clickhouse
-- tables: orders
with orders as (select * from orders) select * from orders
-- references: orders

-- title: clickhouse: a CTE sees those after it
-- dialect: clickhouse
-- executed: no, DuckDB sees only the CTEs before
with a as (select * from b), b as (select 7 as x) select * from a
-- references:

-- title: clickhouse: names are as they are written
-- dialect: clickhouse
-- executed: no, names have no case in DuckDB
with T as (select 7 as x) select * from t
-- references: t

-- title: clickhouse: a constant of WITH is no table
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `5` on
with 5 as y, [1, 2] as ids, (select max(x) from raw.m) as m select x from raw.t where x in ids and x < m and x = y
-- references: raw.m, raw.t

-- title: clickhouse: an alias of SELECT after IN is no table
-- dialect: clickhouse
-- tables: raw.t (x integer)
select [1, 5] as q, x in q from raw.t
-- references: raw.t

-- title: clickhouse: the column of a FROM item after IN is no table
-- dialect: clickhouse
-- tables: raw.t (tags varchar)
select 'x' in t.tags from raw.t as t
-- references: raw.t

-- title: clickhouse: a CTE after IN
-- dialect: clickhouse
-- executed: no, DuckDB reads no table after IN
with ids as (select 5 as x) select * from raw.t where x in ids and x in raw.ids
-- references: raw.t, raw.ids

-- title: clickhouse: NOT IN and GLOBAL IN read tables
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `global` on
select * from raw.t where a not in raw.ids and b global in raw.more and c global not in raw.less
-- references: raw.t, raw.ids, raw.more, raw.less

-- title: clickhouse: IN with a list, a tuple and a query
-- dialect: clickhouse
-- executed: no, DuckDB has no tuple()
select * from raw.t where a in (1, 2) and (b, c) in (select b, c from raw.u) and d in tuple(1, 2) and e in [1]
-- references: raw.t, raw.u

-- title: clickhouse: FINAL, SAMPLE and PREWHERE
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `sample` on
select orders.id from raw.orders final sample 1 / 10 prewhere x in (select x from raw.xs) where y = 1
-- references: raw.orders, raw.xs

-- title: clickhouse: ARRAY JOIN reads columns
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `array` on
select id, i, n from raw.orders array join items as i, arrayEnumerate(items) as n left array join tags
-- references: raw.orders

-- title: clickhouse: joins of its own
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `any` on
select * from a any left join b using (id) global inner join c on c.id = a.id asof join d on d.id = a.id and d.t < a.t
-- references: a, b, c, d

-- title: clickhouse: table functions
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `null` on
select * from numbers(10), s3('https://b/x.parquet') s, url('http://x', CSV), file('x.csv'), generateRandom('a Int'), values('a Int', 1), null('x Int')
-- references:

-- title: clickhouse: a query given to VIEW
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `select` on
select * from view(select * from raw.t) v
-- references: raw.t

-- title: clickhouse: CLUSTER names a table
-- dialect: clickhouse
-- executed: no, DuckDB has no cluster()
select * from cluster('main', raw.orders) o join clusterAllReplicas('main', raw.items) i using (id)
-- references: raw.orders, raw.items

-- title: clickhouse: system tables
-- dialect: clickhouse
-- executed: no, DuckDB looks for a table `parts`
select * from system.parts, information_schema.tables, INFORMATION_SCHEMA.COLUMNS, system.numbers limit 1
-- references:

-- title: clickhouse: FROM first
-- dialect: clickhouse
-- tables: raw.t (x integer)
from raw.t select x
-- references: raw.t

-- title: clickhouse: LIMIT BY, SETTINGS and FORMAT
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `by` on
select * from raw.t order by x limit 1 by x settings max_threads = 1 format JSONEachRow
-- references: raw.t

-- title: clickhouse: parameters with types
-- dialect: clickhouse
-- executed: no, DuckDB takes {year:UInt16} for a struct
select {year:UInt16}, x from raw.t where y = {id:String}
-- references: raw.t

-- title: clickhouse: ARRAY JOIN in a subquery with a CTE
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `array` on
select * from (with o as (select * from raw.orders) select i from o array join items as i) q, o
-- references: raw.orders, o

-- title: clickhouse: fields of tuples and nested columns
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `.1` on
select t.1, t.a.b, raw.t.x, nested.key[1] from raw.t
-- references: raw.t
-- replaced:
select t.1, t.a.b, t.x, nested.key[1] from "dev_raw"."t_v2" AS "t"

-- title: clickhouse: set operations
-- dialect: clickhouse
-- tables: a (x integer); b (x integer); c (x integer); d (x integer); e (x integer)
select x from a union all select x from b union distinct select x from c except select x from d intersect select x from e
-- references: a, b, c, d, e

-- title: clickhouse: a recursive CTE
-- dialect: clickhouse
-- tables: none
with recursive t as (select 1 as x union all select x + 1 from t where x < 3) select * from t
-- references:

-- title: clickhouse: lambdas, APPLY, COLUMNS and REPLACE
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `(` on
select arrayMap(x -> x + 1, xs), columns('^a') apply(sum), * except (b) replace (c + 1 as c) from raw.t
-- references: raw.t

-- title: clickhouse: GROUP BY with totals, QUALIFY and WINDOW
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `with` on
select k, count() as n from raw.t group by k with totals having n > (select min(n) from raw.u) order by n with fill
-- references: raw.t, raw.u

-- title: clickhouse: names in back-ticks and double quotes
-- dialect: clickhouse
-- executed: no, DuckDB knows no back-ticks
select * from `my-db`.`my table` join "a.b" using (id)
-- references: my-db.my table, "a.b"

-- title: clickhouse: an alias anywhere is no table
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `as` on
select (sum(x) as s) / count() as m, s * 2 from raw.t where (y as z) > 1
-- references: raw.t

-- title: clickhouse: strings and comments
-- dialect: clickhouse
-- executed: no, DuckDB does not parse it, from `', '` on
select 'it\'s from a', 'from ''b''' /* from c */ from d -- from e
# from f
-- references: d

-- title: clickhouse: what follows a list of values
-- dialect: clickhouse
-- executed: no, DuckDB has no values() of that kind
select * from values('a Int8', 1), db.o union all select * from db.p, values('a Int8', (1), (2)) v, db.q
-- references: db.o, db.p, db.q

-- title: clickhouse: a table's name as a text
-- dialect: clickhouse
-- executed: no, DuckDB has no joinGet()
select joinGet('db.j', 'v', id) as a, joinGetOrNull(`j`, 'v', id) as b from loop(db.o) join timeSeriesTags('db.t') using (id)
-- references: db.j, j, db.o, db.t
-- replaced:
select joinGet('"dev_db"."j_v2"', 'v', id) as a, joinGetOrNull("dev_main"."j_v2", 'v', id) as b from loop("dev_db"."o_v2") join timeSeriesTags('"dev_db"."t_v2"') using (id)

-- title: clickhouse: a query for another server
-- dialect: clickhouse
-- executed: no, DuckDB has no postgresql()
select * from postgresql('host:5432', 'db', 'select', 'user', 'password')
-- references:
