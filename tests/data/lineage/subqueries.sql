-- title: a scalar subquery
-- given: orders (id INTEGER)
-- given: items (order_id INTEGER, price DOUBLE)
select id, (select max(price) from items where items.order_id = orders.id) as dearest from orders
-- column: id INTEGER <- orders.id
-- column: dearest DOUBLE <- items.price

-- title: EXISTS and IN
-- given: orders (id INTEGER)
-- given: items (order_id INTEGER)
select id, exists (select 1 from items where order_id = id) as any_item, id in (select order_id from items) as listed
from orders
-- column: id INTEGER <- orders.id
-- column: any_item BOOLEAN
-- column: listed BOOLEAN <- items.order_id, orders.id

-- title: a correlated column of the outer query
-- given: orders (id INTEGER, amount DOUBLE)
-- given: items (order_id INTEGER, price DOUBLE)
select (select sum(price) * amount from items where order_id = id) as weighed from orders
-- column: weighed DOUBLE <- items.price, orders.amount

-- title: a lateral join
-- given: orders (id INTEGER)
-- given: items (order_id INTEGER, price DOUBLE)
select id, l.top from orders, lateral (select max(price) as top from items where order_id = orders.id) as l
-- column: id INTEGER <- orders.id
-- column: top DOUBLE <- items.price

-- title: a subquery that sees its neighbour
-- given: orders (id INTEGER, n INTEGER)
select o.id, s.twice from orders o, (select o.n * 2 as twice) s
-- column: id INTEGER <- orders.id
-- column: twice INTEGER <- orders.n

-- title: unnest of a list
-- given: orders (id INTEGER, tags VARCHAR[])
select id, unnest(tags) as tag from orders
-- column: id INTEGER <- orders.id
-- column: tag VARCHAR <- orders.tags

-- title: unnest in FROM
-- given: orders (id INTEGER, tags VARCHAR[])
select id, t.tag from orders, unnest(tags) as t(tag)
-- column: id INTEGER <- orders.id
-- column: tag VARCHAR <- orders.tags

-- title: deep nesting
-- given: orders (id INTEGER, a INTEGER)
select x from (select y as x from (select z as y from (select a as z from orders)))
-- column: x INTEGER <- orders.a

-- title: a subquery in WHERE has no part in the values
-- given: orders (id INTEGER)
-- given: items (order_id INTEGER)
select id from orders where id in (select order_id from items)
-- column: id INTEGER <- orders.id

-- title: positional join
-- given: a (x INTEGER)
-- given: b (y INTEGER)
select * from a positional join b
-- column: x INTEGER <- a.x
-- column: y INTEGER <- b.y

-- title: asof join
-- given: a (t TIMESTAMP, x INTEGER)
-- given: b (t TIMESTAMP, y INTEGER)
select a.t, x, y from a asof join b on a.t >= b.t
-- column: t TIMESTAMP <- a.t
-- column: x INTEGER <- a.x
-- column: y INTEGER <- b.y

-- title: a group of joined tables
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, y INTEGER)
-- given: c (k INTEGER, z INTEGER)
select x, y, z from a left join (b join c on b.k = c.k) on a.k = b.k
-- column: x INTEGER <- a.x
-- column: y INTEGER <- b.y
-- column: z INTEGER <- c.z

-- title: a column that only the warehouse can name
-- given: a (k INTEGER, x INTEGER)
select "max(x)" as top from (select max(x) from a)
-- column: top INTEGER <- a.x

-- title: a join in two pairs of parentheses
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
select o.id, c.name from ((orders as o join customers as c on c.id = o.id))
-- column: id INTEGER <- orders.id
-- column: name VARCHAR <- customers.name

-- title: numbered rows of a series
select g.o, g.i, h.ordinality from generate_series(1, 3) with ordinality as g (i, o), range(g.i) with ordinality h
-- column: o BIGINT
-- column: i BIGINT
-- column: ordinality BIGINT

-- title: numbered elements of a list
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select n.n, n.x from orders, unnest(tags) with ordinality as n (x, n)
-- column: n ? <- orders.tags
-- column: x INTEGER <- orders.tags
