/* @check
description: No revenue is lost.
severity: warn
*/
select 1 as x
from (select sum(amount) as a from revenue) r, (select sum(amount) as a from stg_orders) o
where r.a is distinct from o.a
