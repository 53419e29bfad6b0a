select * from {{ ref('util', 'prices') }}
