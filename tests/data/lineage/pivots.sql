-- title: PIVOT in FROM
-- given: sales (city VARCHAR, year INTEGER, amount INTEGER)
select * from sales pivot (sum(amount) for year in (2020, 2021))
-- column: city VARCHAR <- sales.city
-- column: 2020 HUGEINT <- sales.amount, sales.year
-- column: 2021 HUGEINT <- sales.amount, sales.year

-- title: UNPIVOT in FROM
-- given: sales (city VARCHAR, jan INTEGER, feb INTEGER)
select city, month, amount from sales unpivot (amount for month in (jan, feb))
-- column: city VARCHAR <- sales.city
-- column: month VARCHAR
-- column: amount INTEGER <- sales.feb, sales.jan

-- title: the statement UNPIVOT
-- given: sales (city VARCHAR, jan INTEGER, feb BIGINT)
unpivot sales on jan, feb into name month value amount
-- column: city VARCHAR <- sales.city
-- column: month VARCHAR
-- column: amount BIGINT <- sales.feb, sales.jan

-- title: the statement PIVOT has columns that only the rows tell
-- given: sales (city VARCHAR, year INTEGER, amount INTEGER)
pivot sales on year using sum(amount)
-- reason: the columns that a PIVOT makes are not traced

-- title: PIVOT with a list of columns
-- given: cities (city VARCHAR, year INTEGER, pop INTEGER, land VARCHAR)
select p.y20, p.state from cities pivot (sum(pop) for year in (2020, 2021)) as p (town, state, y20, y21)
-- column: y20 HUGEINT <- cities.pop, cities.year
-- column: state VARCHAR <- cities.land

-- title: UNPIVOT with a list of columns
-- given: cities (city VARCHAR, year INTEGER, pop INTEGER, land VARCHAR)
select * from cities unpivot (v for k in (pop, year)) as u (town, state, what)
-- column: town VARCHAR <- cities.city
-- column: state VARCHAR <- cities.land
-- column: what VARCHAR
-- column: ? INTEGER <- cities.pop, cities.year

-- title: a list of columns before PIVOT and one behind
-- given: cities (city VARCHAR, year INTEGER, pop INTEGER, land VARCHAR)
select * from cities as c (a, b, c, d) pivot (sum(c) for b in (2020)) as p (x)
-- column: x VARCHAR <- cities.city
-- column: d VARCHAR <- cities.land
-- column: 2020 HUGEINT <- cities.pop, cities.year

-- title: a list of columns that is too short
-- given: cities (city VARCHAR, year INTEGER, pop INTEGER, land VARCHAR)
select p.y20 from cities pivot (sum(pop) for year in (2020)) as p (town, state)
-- column: y20 ? (the column is not known)
-- problem: 1:10 certain: `p` has no column `y20`. Columns are: town, state, 2020.
