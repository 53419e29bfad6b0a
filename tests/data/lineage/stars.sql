-- title: all columns
-- given: orders (id INTEGER, amount DECIMAL(10,2))
select * from orders
-- column: id INTEGER <- orders.id
-- column: amount DECIMAL(10,2) <- orders.amount

-- title: FROM without SELECT
-- given: orders (id INTEGER, amount DOUBLE)
from orders
-- column: id INTEGER <- orders.id
-- column: amount DOUBLE <- orders.amount

-- title: one table's columns
-- given: orders (id INTEGER, amount DOUBLE)
-- given: items (order_id INTEGER, price DOUBLE)
select items.*, id from orders join items on items.order_id = orders.id
-- column: order_id INTEGER <- items.order_id
-- column: price DOUBLE <- items.price
-- column: id INTEGER <- orders.id

-- title: EXCLUDE, REPLACE and RENAME
-- given: orders (id INTEGER, a INTEGER, b INTEGER, c VARCHAR)
select * exclude (b) replace (a + 1 as a) rename (c as d) from orders
-- column: id INTEGER <- orders.id
-- column: a INTEGER <- orders.a
-- column: d VARCHAR <- orders.c

-- title: EXCLUDE of one name
-- given: orders (id INTEGER, a INTEGER)
select orders.* exclude a from orders
-- column: id INTEGER <- orders.id

-- title: a join by USING shows its column once
-- given: a (k INTEGER, x INTEGER, y VARCHAR)
-- given: b (k INTEGER, z DOUBLE)
select * from a join b using (k)
-- column: k INTEGER <- a.k
-- column: x INTEGER <- a.x
-- column: y VARCHAR <- a.y
-- column: z DOUBLE <- b.z

-- title: a right join by USING
-- given: a (k INTEGER, x INTEGER)
-- given: b (k BIGINT, z DOUBLE)
select *, k as again from a right join b using (k)
-- column: k ? <- b.k
-- column: x INTEGER <- a.x
-- column: z DOUBLE <- b.z
-- column: again ? <- b.k

-- title: a full join by USING takes both
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, z DOUBLE)
select k, x, z from a full join b using (k)
-- column: k INTEGER <- a.k, b.k
-- column: x INTEGER <- a.x
-- column: z DOUBLE <- b.z

-- title: three tables by USING
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, y INTEGER)
-- given: c (k INTEGER, z INTEGER)
select * from a left join b using (k) left join c using (k) order by k
-- column: k INTEGER <- a.k
-- column: x INTEGER <- a.x
-- column: y INTEGER <- b.y
-- column: z INTEGER <- c.z

-- title: NATURAL JOIN
-- given: a (k INTEGER, x INTEGER, y VARCHAR)
-- given: b (k INTEGER, x INTEGER, z DOUBLE)
select * from a natural join b
-- column: k INTEGER <- a.k
-- column: x INTEGER <- a.x
-- column: y VARCHAR <- a.y
-- column: z DOUBLE <- b.z

-- title: semi and anti joins show only the left
-- given: a (k INTEGER, x INTEGER)
-- given: b (k INTEGER, z DOUBLE)
select * from a semi join b using (k) anti join b as c on c.k = a.k and c.z > a.x
-- column: k INTEGER <- a.k
-- column: x INTEGER <- a.x

-- title: both sides have the name
-- given: a (id INTEGER, x INTEGER)
-- given: b (id INTEGER, y INTEGER)
select * from a join b on a.id = b.id
-- column: id INTEGER <- a.id
-- column: x INTEGER <- a.x
-- column: id_1 INTEGER <- b.id
-- column: y INTEGER <- b.y

-- title: columns by a pattern
-- given: orders (id INTEGER, a_sum INTEGER, b_sum BIGINT)
select columns('_sum$') from orders
-- column: a_sum INTEGER <- orders.a_sum
-- column: b_sum BIGINT <- orders.b_sum

-- title: the columns of a source are not all known
-- given open: raw (id)
select * from raw
-- column: id ? <- raw.id
-- reason: not all columns of db.raw are known

-- title: a column shows through a star of an open source
-- given open: raw (id)
with renamed as (select *, 1 as one from raw) select id, amount, one from renamed
-- column: id ? <- raw.id
-- column: amount ? <- raw.amount
-- column: one INTEGER

-- title: two open sources: it may be of either
-- given open: r1 ()
-- given open: r2 ()
select amount, r1.x, r2.y from r1 join r2 on r1.id = r2.id
-- column: amount ? (`amount` may be of `r1` or `r2`: not all their columns are known)
-- column: x ? <- r1.x
-- column: y ? <- r2.y

-- title: a known table beside an open one
-- given: orders (id INTEGER)
-- given open: raw ()
select id, amount from orders join raw on raw.order_id = orders.id
-- column: id INTEGER <- orders.id
-- column: amount ? <- raw.amount

-- title: something outside of the project
-- given: orders (id INTEGER)
select orders.id, f.name, size from orders join 'files/*.parquet' as f on f.id = orders.id
-- column: id INTEGER <- orders.id
-- column: name ?
-- column: size ?

-- title: declared columns of a source
-- given uncertain: src (id INTEGER, name VARCHAR)
select * from src
-- column: id INTEGER <- src.id
-- column: name VARCHAR <- src.name

-- title: the names that match a pattern
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select * exclude (city) not like 'i%' from orders
-- column: tags INTEGER[] <- orders.tags
-- column: status VARCHAR <- orders.status

-- title: a pattern of files
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select * glob 'i*' from orders
-- column: id INTEGER <- orders.id

-- title: SIMILAR TO is not followed
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select * similar to 'i.*' from orders
-- column: id INTEGER <- orders.id
-- column: city VARCHAR <- orders.city
-- column: tags INTEGER[] <- orders.tags
-- column: status VARCHAR <- orders.status
-- reason: * with a pattern is not followed

-- title: one of two columns of a name is left out
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
select * exclude (c.id) rename (o.id as order_id) from orders o join customers c on c.id = o.id
-- column: order_id INTEGER <- orders.id
-- column: city VARCHAR <- orders.city
-- column: tags INTEGER[] <- orders.tags
-- column: status VARCHAR <- orders.status
-- column: name VARCHAR <- customers.name

-- title: the left column of USING is left out
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
select * exclude (o.id) from orders o join customers c using (id)
-- column: city VARCHAR <- orders.city
-- column: tags INTEGER[] <- orders.tags
-- column: status VARCHAR <- orders.status
-- column: id INTEGER <- customers.id
-- column: name VARCHAR <- customers.name

-- title: REPLACE shows the first of two columns
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
select * replace (c.name as ID) from orders o join customers c on true
-- column: ID VARCHAR <- customers.name
-- column: city VARCHAR <- orders.city
-- column: tags INTEGER[] <- orders.tags
-- column: status VARCHAR <- orders.status
-- column: name VARCHAR <- customers.name

-- title: columns of one table but one
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
-- given: customers (id INTEGER, name VARCHAR)
select columns(c.* exclude (id)) from orders o join customers c on true
-- column: name VARCHAR <- customers.name

-- title: the names that match a pattern, of one table, under one name
-- given: orders (id INTEGER, c_ty VARCHAR, tags INTEGER[], status VARCHAR)
select o.* like 'c!_ty' escape '!', o.* like 'c%' as town from orders as o
-- column: c_ty VARCHAR <- orders.c_ty
-- column: town VARCHAR <- orders.c_ty
