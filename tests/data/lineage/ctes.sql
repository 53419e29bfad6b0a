-- title: through CTEs
-- given: orders (id INTEGER, amount DOUBLE, paid BOOLEAN)
with paid as (select * from orders where paid), sums as (select id, sum(amount) as total from paid group by id)
select id as order_id, total from sums
-- column: order_id INTEGER <- orders.id
-- column: total DOUBLE <- orders.amount

-- title: a CTE bears the name of the table it reads
-- given: orders (id INTEGER, amount DOUBLE)
with orders as (select id, amount * 2 as amount from orders) select * from orders
-- column: id INTEGER <- orders.id
-- column: amount DOUBLE <- orders.amount

-- title: names of columns behind the CTE's name
-- given: orders (id INTEGER, amount DOUBLE)
with o(a, b) as (select id, amount from orders) select b, a from o
-- column: b DOUBLE <- orders.amount
-- column: a INTEGER <- orders.id

-- title: a CTE inside a subquery
-- given: orders (id INTEGER)
select x from (with o as (select id as x from orders) select x from o) as s
-- column: x INTEGER <- orders.id

-- title: a CTE shadows one around it
-- given: orders (id INTEGER, n BIGINT)
with o as (select id as x from orders)
select x from (with o as (select n as x from orders) select x from o) as s
-- column: x BIGINT <- orders.n

-- title: a recursive CTE
with recursive t(n, path) as (select 1, 'a' union all select n + 1, path || 'b' from t where n < 5)
select n, path from t
-- column: n INTEGER
-- column: path VARCHAR

-- title: a recursive CTE over a table
-- given: employees (id INTEGER, boss INTEGER, name VARCHAR)
with recursive chain as (
    select id, name, 0 as depth from employees where boss is null
    union all
    select e.id, e.name, c.depth + 1 from employees e join chain c on e.boss = c.id
)
select * from chain
-- column: id INTEGER <- employees.id
-- column: name VARCHAR <- employees.name
-- column: depth INTEGER

-- title: columns change places in the recursion
-- given: edges (a INTEGER, b INTEGER)
with recursive p(x, y) as (select a, b from edges union all select y, x from p where x < 3) select x from p
-- column: x INTEGER <- edges.a, edges.b

-- title: alias columns of a subquery
-- given: orders (id INTEGER, amount DOUBLE)
select s.b from (select id, amount from orders) as s(a, b)
-- column: b DOUBLE <- orders.amount

-- title: a table's alias with names for columns
-- given: orders (id INTEGER, amount DOUBLE)
select o.a, amount from orders as o(a)
-- column: a INTEGER <- orders.id
-- column: amount DOUBLE <- orders.amount

-- title: nested parentheses
-- given: orders (id INTEGER)
((select id from ((select * from orders)) as o))
-- column: id INTEGER <- orders.id

-- title: a CTE that nothing reads
-- given: orders (id INTEGER)
with unused as (select id + 1 as x from orders) select id from orders
-- column: id INTEGER <- orders.id

-- title: four columns go round in the recursion
-- given: t (a INTEGER, b INTEGER, c INTEGER, d INTEGER)
with recursive p(w, x, y, z) as (
    select a, b, c, d from t union all select x, y, z, w from p where w < 3
)
select w from p
-- column: w INTEGER <- t.a, t.b, t.c, t.d

-- title: a CTE that is not in FROM names no table
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
with o as (select 1 as a) select o.a, o from orders as x
-- column: a ? (the column is not known)
-- column: o ? (the column is not known)
-- problem: 1:34 certain: there is no table `o` in this FROM, and no column of that name. Tables are: x.
-- problem: 1:39 certain: there is no column `o`. Columns are: id, city, tags, status.
