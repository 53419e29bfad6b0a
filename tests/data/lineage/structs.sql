-- title: a field of a struct
-- given: events (s STRUCT(a INTEGER, b VARCHAR), id INTEGER)
select s.a, events.s.b as bb, s['a'] as again from events
-- column: a INTEGER <- events.s
-- column: bb VARCHAR <- events.s
-- column: again INTEGER <- events.s

-- title: all fields of a struct
-- given: events (s STRUCT(a INTEGER, b VARCHAR))
select s.* from events
-- column: a INTEGER <- events.s
-- column: b VARCHAR <- events.s

-- title: a struct in a struct
-- given: events (s STRUCT(t STRUCT(x INTEGER, y DOUBLE[])))
select s.t.x, s.t.y as ys, s.t.y[1] as y from events
-- column: x INTEGER <- events.s
-- column: ys DOUBLE[] <- events.s
-- column: y DOUBLE <- events.s

-- title: making structs and lists
-- given: events (id INTEGER, name VARCHAR)
select {'id': id, 'name': name} as s, [id, 1] as l, struct_pack(a := id) as p from events
-- column: s STRUCT(id INTEGER, name VARCHAR) <- events.id, events.name
-- column: l INTEGER[] <- events.id
-- column: p STRUCT(a INTEGER) <- events.id

-- title: a struct made in a CTE
-- given: events (id INTEGER, name VARCHAR)
with packed as (select {'id': id, 'name': name} as s from events) select s.name, s.id from packed
-- column: name VARCHAR <- events.id, events.name
-- column: id INTEGER <- events.id, events.name

-- title: a struct that bears its table's name
-- given: events (events STRUCT(a INTEGER), id INTEGER)
select events.a from events
-- column: a INTEGER <- events.events

-- title: items of lists and letters of texts
-- given: events (l INTEGER[], s VARCHAR)
select l[1] as first, l[1:2] as some, s[1] as letter from events
-- column: first INTEGER <- events.l
-- column: some INTEGER[] <- events.l
-- column: letter VARCHAR <- events.s

-- title: the fields of a struct that is not known
-- given open: events ()
select payload.user.id, payload.* from events
-- column: id ? <- events.payload
-- reason: the columns of payload.* are not known

-- title: lists of rows
-- given: events (id INTEGER, name VARCHAR)
select list(name order by id) as names, array_agg(id) as ids, string_agg(name, ',') as text from events
-- column: names VARCHAR[] <- events.id, events.name
-- column: ids INTEGER[] <- events.id
-- column: text VARCHAR <- events.name

-- title: a function behind a dot
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select status.replace(city, 'b').upper().len()::integer as n, main.upper(status) as u from orders where orders.city.lower() = 'a'
-- column: n INTEGER <- orders.city, orders.status
-- column: u ? <- orders.status

-- title: functions behind dots with lambdas and structs
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select tags.list_filter(x -> x > id).list_transform(x -> x + 1) as l, {k: status.upper()} as s from orders
-- column: l ? <- orders.id, orders.tags
-- column: s ? <- orders.status

-- title: a list with its index
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select [x * i + id for x, i in tags if i > 1] as l from orders
-- column: l ? <- orders.id, orders.tags

-- title: the index of a list is not seen outside of it
-- given: orders (id INTEGER, city VARCHAR, tags INTEGER[], status VARCHAR)
select [x + i for x, i in tags] as l, i from orders
-- column: l ? <- orders.tags
-- column: i ? (the column is not known)
-- problem: 1:39 certain: there is no column `i`. Did you mean `id`?

-- title: a field of a value in parentheses has a name of its own
-- given: orders (id INTEGER, s STRUCT(k INTEGER))
select (s).k from orders
-- column: ? INTEGER <- orders.s
