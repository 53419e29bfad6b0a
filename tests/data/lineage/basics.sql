-- title: a column, renamed and computed
-- given: orders (id INTEGER, amount DECIMAL(10,2), note VARCHAR)
select id as order_id, amount * 2 as doubled, lower(note) as note, note || '!' as loud
from orders
-- column: order_id INTEGER <- orders.id
-- column: doubled DECIMAL(18,2) <- orders.amount
-- column: note VARCHAR <- orders.note
-- column: loud VARCHAR <- orders.note

-- title: constants have no sources
-- given: orders (id INTEGER)
select 1 as one, 1.5 as half, 'a' as letter, true as yes, null as nothing, date '2020-01-01' as day
from orders
-- column: one INTEGER
-- column: half DECIMAL(2,1)
-- column: letter VARCHAR
-- column: yes BOOLEAN
-- column: nothing ?
-- column: day DATE

-- title: several columns in one expression
-- given: orders (id INTEGER, a INTEGER, b BIGINT, c DOUBLE)
select a + b as ab, b + c as bc, a / b as ratio, a // 2 as half, a % 2 as odd, -a as minus from orders
-- column: ab BIGINT <- orders.a, orders.b
-- column: bc DOUBLE <- orders.b, orders.c
-- column: ratio DOUBLE <- orders.a, orders.b
-- column: half INTEGER <- orders.a
-- column: odd INTEGER <- orders.a
-- column: minus INTEGER <- orders.a

-- title: conditions count as sources
-- given: orders (id INTEGER, paid BOOLEAN, a INTEGER, b INTEGER)
select case when paid then a else b end as x, if(paid, a, null) as y, coalesce(a, b, 0) as z from orders
-- column: x INTEGER <- orders.a, orders.b, orders.paid
-- column: y INTEGER <- orders.a, orders.paid
-- column: z INTEGER <- orders.a, orders.b

-- title: filters and order do not
-- given: orders (id INTEGER, paid BOOLEAN, a INTEGER)
select id from orders where paid order by a limit 10
-- column: id INTEGER <- orders.id

-- title: aggregates
-- given: orders (id INTEGER, amount DOUBLE, day DATE, n BIGINT)
select day, count(*) as orders, sum(amount) as amount, avg(n) as mean, max(day) as last, min(n) as least,
    count(distinct id) as ids, sum(n) as total, median(n) as middle
from orders group by day having sum(amount) > 0
-- column: day DATE <- orders.day
-- column: orders BIGINT
-- column: amount DOUBLE <- orders.amount
-- column: mean DOUBLE <- orders.n
-- column: last DATE <- orders.day
-- column: least BIGINT <- orders.n
-- column: ids BIGINT <- orders.id
-- column: total HUGEINT <- orders.n
-- column: middle DOUBLE <- orders.n

-- title: an aggregate with a filter
-- given: orders (id INTEGER, paid BOOLEAN, amount DOUBLE)
select count(*) filter (where paid) as paid, sum(amount) filter (where id > 1) as amount from orders
-- column: paid BIGINT <- orders.paid
-- column: amount DOUBLE <- orders.amount, orders.id

-- title: names of columns without an alias
-- given: orders (id INTEGER, "Mixed Case" INTEGER)
select ID, orders.id as again, "Mixed Case", count(*), id + 1 from orders group by all
-- column: id INTEGER <- orders.id
-- column: again INTEGER <- orders.id
-- column: Mixed Case INTEGER <- orders.Mixed Case
-- column: count_star() BIGINT
-- column: ? INTEGER <- orders.id

-- title: the schema in front
-- given: staging.orders (id INTEGER)
select staging.orders.id, orders.id as twice from staging.orders
-- column: id INTEGER <- staging.orders.id
-- column: twice INTEGER <- staging.orders.id

-- title: two columns of one name are told apart
-- given: orders (id INTEGER)
-- given: items (id BIGINT)
select orders.id, items.id from orders join items on true
-- column: id INTEGER <- orders.id
-- column: id_1 BIGINT <- items.id

-- title: an alias that a later column uses
-- given: orders (id INTEGER, amount DOUBLE)
select amount * 2 as twice, twice + 1 as more, more / twice as ratio from orders where twice > 1
-- column: twice DOUBLE <- orders.amount
-- column: more DOUBLE <- orders.amount
-- column: ratio DOUBLE <- orders.amount

-- title: a column goes before an alias of its name
-- given: orders (a INTEGER, b INTEGER)
select b as a, a + 1 as c from orders
-- column: a INTEGER <- orders.b
-- column: c INTEGER <- orders.a

-- title: FROM first
-- given: orders (id INTEGER, a INTEGER)
from orders select a where id > 1
-- column: a INTEGER <- orders.a

-- title: VALUES
values (1, 'a'), (2, 'b')
-- column: col0 INTEGER
-- column: col1 VARCHAR

-- title: VALUES with names
select x, y from (values (1, 'a'), (3000000000, null)) as t(x, y)
-- column: x BIGINT
-- column: y VARCHAR

-- title: a function that makes rows
select i, i * 2 as twice from range(10) t(i)
-- column: i BIGINT
-- column: twice BIGINT

-- title: a whole row
-- given: orders (id INTEGER, a VARCHAR)
select orders as row, count(orders) as n from orders group by all
-- column: row ? <- orders.a, orders.id
-- column: n BIGINT <- orders.a, orders.id

-- title: lambdas and comprehensions bind names of their own
-- given: orders (l INTEGER[], x INTEGER)
select list_transform(l, x -> x + 1) as a, [y * 2 for y in l] as b, list_filter(l, lambda q: q > 1) as c
from orders
-- column: a ? <- orders.l
-- column: b ? <- orders.l
-- column: c ? <- orders.l

-- title: names that look like columns
-- given: orders (id INTEGER)
select current_date as today, now() as moment, rowid as r, current_user as who from orders
-- column: today DATE
-- column: moment TIMESTAMP WITH TIME ZONE
-- column: r ?
-- column: who ?
