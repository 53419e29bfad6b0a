-- title: only new rows, as an incremental model reads itself
-- given: orders (id INTEGER, day DATE)
-- given open: totals ()
select day, count(*) as orders from orders
where day > (select max(totals.day) from totals)
group by day
-- column: day DATE <- orders.day
-- column: orders BIGINT

-- title: columns taken from the model itself
-- given: orders (id INTEGER, n INTEGER)
-- given open: totals ()
select o.id, coalesce(t.n, 0) + o.n as n from orders o left join totals t on t.id = o.id
-- column: id INTEGER <- orders.id
-- column: n ? <- orders.n, totals.n
