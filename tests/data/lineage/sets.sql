-- title: UNION by position
-- given: a (x INTEGER, s VARCHAR)
-- given: b (y BIGINT, t VARCHAR)
select x, s from a union all select y, t from b
-- column: x BIGINT <- a.x, b.y
-- column: s VARCHAR <- a.s, b.t

-- title: UNION BY NAME
-- given: a (x INTEGER, s VARCHAR)
-- given: b (s VARCHAR, z DOUBLE)
select x, s from a union all by name select z, s from b
-- column: x INTEGER <- a.x
-- column: s VARCHAR <- a.s, b.s
-- column: z DOUBLE <- b.z

-- title: EXCEPT takes its values from the left
-- given: a (x INTEGER)
-- given: b (y INTEGER)
select x from a except select y from b
-- column: x INTEGER <- a.x

-- title: INTERSECT
-- given: a (x INTEGER)
-- given: b (y INTEGER)
select x from a intersect select y from b
-- column: x INTEGER <- a.x, b.y

-- title: a chain of three
-- given: a (x INTEGER)
-- given: b (x INTEGER)
-- given: c (x INTEGER)
select x from a union all select x from b union all (select x from c order by x limit 1) order by x
-- column: x INTEGER <- a.x, b.x, c.x

-- title: stars in a union
-- given: a (x INTEGER, y VARCHAR)
-- given: b (x INTEGER, y VARCHAR)
with u as (select 'a' as kind, * from a union all select 'b', * from b) select kind, x, y from u
-- column: kind VARCHAR
-- column: x INTEGER <- a.x, b.x
-- column: y VARCHAR <- a.y, b.y

-- title: a constant in one half
-- given: a (x INTEGER)
select x, 'a' as kind from a union all select 0, 'none'
-- column: x INTEGER <- a.x
-- column: kind VARCHAR

-- title: types that have no rule
-- given: a (x INTEGER, d DATE)
-- given: b (x VARCHAR, d TIMESTAMP)
select x, d from a union all select x, d from b
-- column: x ? <- a.x, b.x
-- column: d ? <- a.d, b.d

-- title: numbers of different width
-- given: a (x INTEGER, y FLOAT, z DECIMAL(10,2))
-- given: b (x HUGEINT, y DOUBLE, z DECIMAL(8,4))
select x, y, z from a union all select x, y, z from b
-- column: x HUGEINT <- a.x, b.x
-- column: y DOUBLE <- a.y, b.y
-- column: z DECIMAL(12,4) <- a.z, b.z

-- title: a union with a CTE of its own
-- given: a (x INTEGER)
-- given: b (x INTEGER)
with u as (with v as (select x from a) select x from v union select x from b) select * from u
-- column: x INTEGER <- a.x, b.x

-- title: a union over an open source
-- given: a (x INTEGER)
-- given open: raw ()
select * from a union all select * from raw
-- reason: not all columns of db.raw are known
