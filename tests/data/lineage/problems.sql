-- title: an unknown column
-- given: orders (id INTEGER, amount DOUBLE)
select id,
    amuont
from orders
-- column: id INTEGER <- orders.id
-- column: amuont ? (the column is not known)
-- problem: 2:5 certain: there is no column `amuont`. Did you mean `amount`?

-- title: an unknown column behind an alias
-- given: orders (id INTEGER, amount DOUBLE)
select o.id, o.total from orders as o
-- column: id INTEGER <- orders.id
-- column: total ? (the column is not known)
-- problem: 1:16 certain: `o` has no column `total`. Columns are: id, amount.

-- title: unknown in WHERE, GROUP BY and ON
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, y INTEGER)
select x from a join b on a.k = b.kk where z > 1 group by x, w
-- column: x INTEGER <- a.x
-- problem: 1:35 certain: `b` has no column `kk`. Did you mean `k`?
-- problem: 1:44 certain: there is no column `z`. Columns are: k, x, y.
-- problem: 1:62 certain: there is no column `w`. Columns are: k, x, y.

-- title: an ambiguous column
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, y INTEGER)
select x, k as key from a join b on a.k = b.k
-- column: x INTEGER <- a.x
-- column: key ? <- a.k, b.k (`k` is ambiguous)
-- problem: 1:11 certain: the column `k` is ambiguous. Write `a.k` or `b.k`.

-- title: no such table
-- given: orders (id INTEGER)
select o.id from orders
-- column: id ? (the column is not known)
-- problem: 1:8 certain: there is no table `o` in this FROM, and no column of that name. Tables are: orders.

-- title: a source may have more columns
-- given open: raw (id)
select id, amuont from raw
-- column: id ? <- raw.id
-- column: amuont ? <- raw.amuont

-- title: a source's declared columns
-- given uncertain: src (id INTEGER, amount DOUBLE)
select id, amuont from src
-- column: id INTEGER <- src.id
-- column: amuont ? (the column is not known)
-- problem: 1:12 there is no column `amuont`. Did you mean `amount`?

-- title: unknown in a CTE of its own
-- given open: raw ()
with renamed as (select id as order_id, x as amount from raw) select order_id, id from renamed
-- column: order_id ? <- raw.id
-- column: id ? (the column is not known)
-- problem: 1:80 certain: there is no column `id`. Columns are: order_id, amount.

-- title: unknown inside a subquery, where the outer query does not have it either
-- given: a (x INTEGER)
-- given: b (y INTEGER)
select x, (select max(y) from b where y = z) as m from a
-- column: x INTEGER <- a.x
-- column: m INTEGER <- b.y
-- problem: 1:43 certain: there is no column `z`. Columns are: y, x.

-- title: an open table anywhere in reach makes it possible
-- given: a (x INTEGER)
-- given open: raw ()
select x, (select max(x) from a where x = z) as m from raw
-- column: x ? <- raw.x
-- column: m INTEGER <- a.x

-- title: order by an output column is not ambiguous
-- given: a (k INTEGER)
-- given: b (k INTEGER)
select a.k from a join b on a.k = b.k order by k
-- column: k INTEGER <- a.k

-- title: a comma and no qualifier, told once per place
-- given: a (x INTEGER)
select nope, nope from a
-- column: nope ? (the column is not known)
-- column: nope_1 ? (the column is not known)
-- problem: 1:8 certain: there is no column `nope`. Columns are: x.
-- problem: 1:14 certain: there is no column `nope`. Columns are: x.

-- title: a name in another case is the same
-- given: orders (Id INTEGER)
select ID, "iD" as again from orders
-- column: Id INTEGER <- orders.Id
-- column: again INTEGER <- orders.Id

-- title: the columns that USING needs
-- given: a (k INTEGER)
-- given: b (j INTEGER)
select * from a join b using (k)
-- column: k INTEGER <- a.k
-- column: j INTEGER <- b.j
-- problem: 1:31 certain: there is no column `k`. Columns are: j.

-- title: a column left out before
-- given: orders (id INTEGER, amount DOUBLE)
with o as (select * exclude (amount) from orders) select amount from o
-- column: amount ? (the column is not known)
-- problem: 1:58 certain: there is no column `amount`. Columns are: id.

-- title: DuckDB does not look into a CTE that nothing reads
-- given: orders (id INTEGER)
with unused as (select nope from orders), used as (select id from orders) select id from used
-- column: id INTEGER <- orders.id
-- problem: 1:24 there is no column `nope`. Columns are: id.
