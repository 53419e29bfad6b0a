select order_id, paid
from payments
