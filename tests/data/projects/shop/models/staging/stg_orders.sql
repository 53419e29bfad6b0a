/* @model
description: Orders with clean names.
columns:
  id: {description: The order's number., type: integer, checks: [unique, not_null]}
  status:
    checks:
      - accepted_values: {values: [paid, sent, null]}
      - not_null: {severity: warn, name: status_is_known}
  customer_id:
    checks: [{relationships: {to: customers, field: id}}]
*/
select id, customer_id, amount, status -- as it is
from RAW.Orders
where amount >= $least
