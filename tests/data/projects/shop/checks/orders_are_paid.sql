/* @check
name: paid
model: stg_payments
*/
select * from stg_payments join stg_orders on id = order_id where not paid
