-- title: names without an alias
-- dialect: postgres
-- given: orders (id integer, amount numeric, day date, doc jsonb, tags text[])
select count(*), max(amount), id::bigint, '1'::int, case when id > 0 then id else amount end,
    case when id > 0 then 1 else 2 end, exists (select 1), array[1], (select min(day) from orders),
    doc -> 'a', to_char(day, 'YY'), lower('A')::text, tags[1], greatest(id, 1),
    row_number() over (), my.f(id), "F"(id), coalesce(id, 0), day at time zone 'UTC', (1, 2)::text,
    null::timestamp with time zone
from orders o group by id, amount, day, doc, tags
-- column: count ?
-- column: max ? <- orders.amount
-- column: id BIGINT <- orders.id
-- column: int4 INT
-- column: amount ? <- orders.amount, orders.id
-- column: case ? <- orders.id
-- column: exists ?
-- column: array ?
-- column: min ? <- orders.day
-- column: ?column? ? <- orders.doc
-- column: to_char ? <- orders.day
-- column: lower TEXT
-- column: tags ? <- orders.tags
-- column: greatest ? <- orders.id
-- column: row_number ?
-- column: f ? <- orders.id
-- column: F ? <- orders.id
-- column: coalesce ? <- orders.id
-- column: timezone ? <- orders.day
-- column: row TEXT
-- column: timestamptz TIMESTAMPTZ

-- title: a name without an alias is used
-- dialect: postgres
-- given: orders (id integer, amount numeric)
select key, count from (
    select amount as key, count(*) from orders group by amount order by count desc
) t
-- column: key numeric <- orders.amount
-- column: count ?

-- title: LATERAL names its columns
-- dialect: postgres
-- given: orders (id integer, amount numeric)
select v.x, w.*, y from orders o, lateral (values (o.id, 1), (2, 3)) v(x, y),
    lateral (select o.amount, o.id) w(a, b) where v.x = w.b
-- column: x ? <- orders.id
-- column: a numeric <- orders.amount
-- column: b integer <- orders.id
-- column: y ?

-- title: the columns of a USING have a name
-- dialect: postgres
-- given: a (i integer, t text)
-- given: b (i integer, k integer)
select j.i, k from a join b using (i) as j where j.i = 1
-- column: i integer <- a.i
-- column: k integer <- b.k

-- title: the schema tells tables of one name apart
-- dialect: postgres
-- given: raw.orders (id integer)
-- given: orders (other integer)
select raw.orders.id from raw.orders
where exists (select 1 from orders where raw.orders.id = orders.other)
-- column: id integer <- raw.orders.id

-- title: types in SQL/JSON, and what is normalized
-- dialect: postgres
-- given: orders (name text)
select json_object('a': name returning jsonb) as doc, name is nfkc normalized as plain
from orders where name is normalized
-- column: doc ? <- orders.name
-- column: plain ? <- orders.name

-- title: nothing but NULL
-- dialect: postgres
select x, coalesce(null, null) as y from (values (null), (null)) v(x)
-- column: x ?
-- column: y ?

-- title: the fields of a value
-- dialect: postgres
-- given: orders (id integer, doc jsonb)
select id, (jsonb_each(doc)).* from orders
-- column: id integer <- orders.id
-- reason: the columns of (JSONB_EACH(doc)).* are not known

-- title: USING of two types
-- dialect: postgres
-- given: a (i integer, t text)
-- given: b (i numeric, k integer)
select * from a natural join b
-- column: i ? <- a.i
-- column: t text <- a.t
-- column: k integer <- b.k

-- title: what SEARCH and CYCLE add
-- dialect: postgres
-- given: graph (f integer, t integer)
with recursive walk(f, t) as (
    select f, t from graph union all select g.f, g.t from graph g join walk on g.f = walk.t
) search depth first by f, t set ord cycle f, t set is_cycle using path
select f, ord is null as o, walk.is_cycle, path is null as p from walk
-- column: f integer <- graph.f
-- column: o ? (a column of SEARCH)
-- column: is_cycle ? (a column of CYCLE)
-- column: p ? (a column of CYCLE)

-- title: numbers with underscores
-- dialect: postgres
-- given: orders (id integer)
select id from orders where id > 1_5 and id < 0x1_5
-- column: id integer <- orders.id

-- title: a number with underscores is no number with an alias
-- dialect: postgres
select 1_000
-- column: ?column? ?

-- title: a number in octal is no number with an alias
-- dialect: postgres
select 0o17
-- column: ?column? ?

-- title: a type before a text names the column
-- dialect: postgres
select box '((0,0),(1,1))', cidr '10.0.0.0/8' <<= inet '10.0.0.1' as inside
-- column: box BOX
-- column: inside ?

-- title: names with escapes
-- dialect: postgres
-- given: t (status TEXT)
select U&"st\0061tus" as s, t.U&"st!0061tus" uescape '!' as U&"\0078" from t
-- column: s TEXT <- t.status
-- column: x TEXT <- t.status

-- title: a star behind a table
-- dialect: postgres
-- given: t (id INTEGER)
select t.id, u.id as u from t *, t * as u
-- column: id INTEGER <- t.id
-- column: u INTEGER <- t.id

-- title: a function that returns a set
-- dialect: postgres
-- given: t (id INTEGER, doc JSON)
select json_array_elements(doc) as e, id from t
-- column: e ? <- t.doc
-- column: id INTEGER <- t.id
