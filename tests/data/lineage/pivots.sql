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
