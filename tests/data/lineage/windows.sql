-- title: ranks
-- given: orders (id INTEGER, day DATE, amount DOUBLE)
select id, row_number() over (order by day) as n, rank() over (partition by id order by amount) as r,
    ntile(4) over (order by amount) as q, percent_rank() over (order by amount) as p, cume_dist() over (order by id) as c
from orders
-- column: id INTEGER <- orders.id
-- column: n BIGINT <- orders.day
-- column: r BIGINT <- orders.amount, orders.id
-- column: q BIGINT <- orders.amount
-- column: p DOUBLE <- orders.amount
-- column: c DOUBLE <- orders.id

-- title: values of other rows
-- given: orders (id INTEGER, day DATE, amount DOUBLE)
select lag(amount) over (order by day) as before, lead(day, 2) over w as later, first_value(id) over w as first
from orders window w as (partition by id order by day)
-- column: before DOUBLE <- orders.amount, orders.day
-- column: later DATE <- orders.day
-- column: first INTEGER <- orders.id

-- title: sums that run
-- given: orders (id INTEGER, amount DECIMAL(10,2), n BIGINT)
select sum(amount) over (order by id) as running, avg(n) over () as mean, count(*) over (partition by n) as c
from orders
-- column: running DECIMAL(38,2) <- orders.amount, orders.id
-- column: mean DOUBLE <- orders.n
-- column: c BIGINT <- orders.n

-- title: QUALIFY
-- given: orders (id INTEGER, day DATE)
select id, row_number() over (partition by id order by day) as n from orders qualify n = 1
-- column: id INTEGER <- orders.id
-- column: n BIGINT <- orders.day, orders.id

-- title: a window over an aggregate
-- given: orders (id INTEGER, amount DOUBLE)
select id, sum(sum(amount)) over (order by id) as running from orders group by id
-- column: id INTEGER <- orders.id
-- column: running DOUBLE <- orders.amount, orders.id
