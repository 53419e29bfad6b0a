-- title: casts
-- given: t (x VARCHAR)
select x::int as i, cast(x as decimal) as d, cast(x as decimal(5, 1)) as e, x::text as s, x::timestamptz as z,
    try_cast(x as double) as f, x::int[] as l, x::struct(a int, b text) as st, x::real as r, x::date as day,
    x::map(varchar, int) as m, x::blob as b, x::json as j, x::uuid as u, x::hugeint as h, x::char(3) as c
from t
-- column: i INTEGER <- t.x
-- column: d DECIMAL(18,3) <- t.x
-- column: e DECIMAL(5,1) <- t.x
-- column: s VARCHAR <- t.x
-- column: z TIMESTAMP WITH TIME ZONE <- t.x
-- column: f DOUBLE <- t.x
-- column: l INTEGER[] <- t.x
-- column: st STRUCT(a INTEGER, b VARCHAR) <- t.x
-- column: r FLOAT <- t.x
-- column: day DATE <- t.x
-- column: m MAP(VARCHAR, INTEGER) <- t.x
-- column: b BLOB <- t.x
-- column: j JSON <- t.x
-- column: u UUID <- t.x
-- column: h HUGEINT <- t.x
-- column: c VARCHAR <- t.x

-- title: decimals
-- given: t (a DECIMAL(18,2), b DECIMAL(10,2), e DECIMAL(38,4), i INTEGER, g BIGINT, z DOUBLE)
select a + a as x1, a * a as x2, b + i as x3, b * i as x4, b + g as x5, e * b as x6, b * 1.5 as x7, i * 1.5 as x8,
    g + 1.5 as x9, b / i as x10, b * z as x11, sum(b) as x12, avg(b) as x13, coalesce(b, 0) as x14, -b as x15
from t group by all
-- column: x1 DECIMAL(18,2) <- t.a
-- column: x2 DECIMAL(18,4) <- t.a
-- column: x3 DECIMAL(13,2) <- t.b, t.i
-- column: x4 DECIMAL(18,2) <- t.b, t.i
-- column: x5 DECIMAL(22,2) <- t.b, t.g
-- column: x6 DECIMAL(38,6) <- t.b, t.e
-- column: x7 DECIMAL(12,3) <- t.b
-- column: x8 DECIMAL(12,1) <- t.i
-- column: x9 DECIMAL(21,1) <- t.g
-- column: x10 DOUBLE <- t.b, t.i
-- column: x11 DOUBLE <- t.b, t.z
-- column: x12 DECIMAL(38,2) <- t.b
-- column: x13 DOUBLE <- t.b
-- column: x14 DECIMAL(12,2) <- t.b
-- column: x15 DECIMAL(10,2) <- t.b

-- title: small numbers meet literals
-- given: t (a TINYINT, s SMALLINT, i INTEGER, g BIGINT, f FLOAT)
select s + 1 as x1, s * s as x2, s + 300 as x3, coalesce(s, 0) as x4, f * 2 as x5, f + f as x6, 1 + 1 as x7, g - 1 as x8,
    i + 3000000000 as x9, f / 2 as x10, s / 2 as x11, greatest(i, g) as x12, a // 2 as x13
from t
-- column: x1 SMALLINT <- t.s
-- column: x2 SMALLINT <- t.s
-- column: x3 ? <- t.s
-- column: x4 SMALLINT <- t.s
-- column: x5 FLOAT <- t.f
-- column: x6 FLOAT <- t.f
-- column: x7 INTEGER
-- column: x8 BIGINT <- t.g
-- column: x9 BIGINT <- t.i
-- column: x10 FLOAT <- t.f
-- column: x11 DOUBLE <- t.s
-- column: x12 BIGINT <- t.g, t.i
-- column: x13 TINYINT <- t.a

-- title: dates and times
-- given: t (d DATE, ts TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, n INTEGER)
select d - d as days, d + 1 as next, d + interval 1 day as then, ts - ts as spent, ts + interval 1 hour as later,
    tz - interval 1 day as earlier, date_trunc('month', d) as month, date_trunc('day', tz) as day,
    ts at time zone 'UTC' as zoned, tz at time zone 'UTC' as plain, year(d) as year, extract(hour from ts) as hour,
    date_diff('day', d, d) as diff, ts + to_minutes(n) as soon, monthname(d) as name, strftime(d, '%Y') as text,
    isodow(d) as dow
from t
-- column: days BIGINT <- t.d
-- column: next DATE <- t.d
-- column: then TIMESTAMP <- t.d
-- column: spent INTERVAL <- t.ts
-- column: later TIMESTAMP <- t.ts
-- column: earlier TIMESTAMP WITH TIME ZONE <- t.tz
-- column: month TIMESTAMP <- t.d
-- column: day TIMESTAMP WITH TIME ZONE <- t.tz
-- column: zoned TIMESTAMP WITH TIME ZONE <- t.ts
-- column: plain TIMESTAMP <- t.tz
-- column: year BIGINT <- t.d
-- column: hour BIGINT <- t.ts
-- column: diff BIGINT <- t.d
-- column: soon TIMESTAMP <- t.n, t.ts
-- column: name VARCHAR <- t.d
-- column: text VARCHAR <- t.d
-- column: dow BIGINT <- t.d

-- title: predicates
-- given: t (a INTEGER, s VARCHAR, b BOOLEAN)
select a = 1 as p1, a between 1 and 2 as p2, s like 'x%' as p3, a is null as p4, not b as p5, a in (1, 2) as p6,
    b and a > 1 as p7, regexp_matches(s, 'x') as p8, bool_or(b) as p9
from t group by all
-- column: p1 BOOLEAN <- t.a
-- column: p2 BOOLEAN <- t.a
-- column: p3 BOOLEAN <- t.s
-- column: p4 BOOLEAN <- t.a
-- column: p5 BOOLEAN <- t.b
-- column: p6 BOOLEAN <- t.a
-- column: p7 BOOLEAN <- t.a, t.b
-- column: p8 BOOLEAN <- t.s
-- column: p9 BOOLEAN <- t.b

-- title: text
-- given: t (s VARCHAR, i INTEGER)
select upper(s) as a, trim(s) as b, substring(s, 1, 2) as c, replace(s, 'a', 'b') as d, concat(s, i) as e, left(s, 1) as f,
    regexp_replace(s, 'a', 'b') as g, regexp_extract(s, 'a') as h, split_part(s, ',', 1) as j, md5(s) as k,
    length(s) as l, i::varchar || s as m, strpos(s, 'a') as n, lpad(s, 3, ' ') as o, concat_ws(',', s, s) as p
from t
-- column: a VARCHAR <- t.s
-- column: b VARCHAR <- t.s
-- column: c VARCHAR <- t.s
-- column: d VARCHAR <- t.s
-- column: e VARCHAR <- t.i, t.s
-- column: f VARCHAR <- t.s
-- column: g VARCHAR <- t.s
-- column: h VARCHAR <- t.s
-- column: j VARCHAR <- t.s
-- column: k VARCHAR <- t.s
-- column: l BIGINT <- t.s
-- column: m VARCHAR <- t.i, t.s
-- column: n BIGINT <- t.s
-- column: o ? <- t.s
-- column: p VARCHAR <- t.s

-- title: numbers
-- given: t (i INTEGER, g BIGINT, z DOUBLE, f FLOAT)
select abs(i) as a, round(z, 1) as b, round(g) as c, floor(z) as d, ceil(i) as e, sqrt(i) as h, ln(z) as j, power(i, 2) as k,
    round(f, 2) as l, i % 2 as m, nullif(i, 0) as n
from t
-- column: a INTEGER <- t.i
-- column: b DOUBLE <- t.z
-- column: c BIGINT <- t.g
-- column: d DOUBLE <- t.z
-- column: e DOUBLE <- t.i
-- column: h DOUBLE <- t.i
-- column: j DOUBLE <- t.z
-- column: k DOUBLE <- t.i
-- column: l FLOAT <- t.f
-- column: m INTEGER <- t.i
-- column: n INTEGER <- t.i

-- title: aggregates of every type
-- given: t (b BOOLEAN, s SMALLINT, h HUGEINT, f FLOAT, v VARCHAR, d DATE, x DECIMAL(10,2))
select sum(s) as a, sum(h) as c, sum(f) as e, sum(b::int) as g, avg(f) as i, max(v) as k, min(d) as l, any_value(x) as m,
    arg_max(v, d) as n, median(f) as o, median(x) as p, count_if(b) as q, approx_count_distinct(v) as r, stddev(s) as t,
    first(d) as u, mode(v) as w
from t
-- column: a HUGEINT <- t.s
-- column: c HUGEINT <- t.h
-- column: e DOUBLE <- t.f
-- column: g HUGEINT <- t.b
-- column: i DOUBLE <- t.f
-- column: k VARCHAR <- t.v
-- column: l DATE <- t.d
-- column: m DECIMAL(10,2) <- t.x
-- column: n VARCHAR <- t.d, t.v
-- column: o FLOAT <- t.f
-- column: p DECIMAL(10,2) <- t.x
-- column: q HUGEINT <- t.b
-- column: r BIGINT <- t.v
-- column: t DOUBLE <- t.s
-- column: u DATE <- t.d
-- column: w ? <- t.v

-- title: choices
-- given: t (i INTEGER, g BIGINT, z DOUBLE, f FLOAT, v VARCHAR, d DATE, c DECIMAL(10,2))
select case when i > 1 then i else z end as a, case when i > 1 then f else i end as b, case when i > 1 then 'x' end as e,
    coalesce(i, 1.5) as h, coalesce(z, c) as j, coalesce(v, 'x') as k, least(i, g) as l, coalesce(d, current_date) as m,
    case when i > 1 then null else g end as n, coalesce(f, c) as o, coalesce(f, 1.5) as p, coalesce(i, f) as q
from t
-- column: a DOUBLE <- t.i, t.z
-- column: b FLOAT <- t.f, t.i
-- column: e VARCHAR <- t.i
-- column: h DECIMAL(11,1) <- t.i
-- column: j DOUBLE <- t.c, t.z
-- column: k VARCHAR <- t.v
-- column: l BIGINT <- t.g, t.i
-- column: m DATE <- t.d
-- column: n BIGINT <- t.g, t.i
-- column: o ? <- t.c, t.f
-- column: p ? <- t.f
-- column: q FLOAT <- t.f, t.i
