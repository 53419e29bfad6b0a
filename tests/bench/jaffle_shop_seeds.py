"""Make up the two seeds of dbt's jaffle-shop that are too large for some copies of it.

    python tests/bench/jaffle_shop_seeds.py path/to/jaffle-shop

raw_orders.csv and raw_items.csv get the columns that the project's models read, with keys and
prices of the seeds that are there: the same rows each time, which its tests accept. A seed that is
there stays as it is.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ORDERS = 2_000
_FIRST = dt.datetime(2024, 9, 1)
_OF_ORDERS = ("id", "customer", "ordered_at", "store_id", "subtotal", "tax_paid", "order_total")
_OF_ITEMS = ("id", "order_id", "sku")


def main() -> None:
    folder = Path(sys.argv[1]) / "seeds/jaffle-data"
    orders, items = made_up(*(read(folder, it) for it in ("customers", "stores", "products")))
    write(folder / "raw_orders.csv", _OF_ORDERS, orders)
    write(folder / "raw_items.csv", _OF_ITEMS, items)


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"raw_{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def made_up(
    customers: Sequence[Mapping[str, str]],
    stores: Sequence[Mapping[str, str]],
    products: Sequence[Mapping[str, str]],
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The rows of orders, and those of their items."""
    chance, orders, items = random.Random(16), list[tuple[object, ...]](), []
    for number in range(ORDERS):
        order, sold = f"order-{number}", chance.choices(products, k=chance.randrange(1, 4))
        items += [(f"{order}-{at}", order, it["sku"]) for at, it in enumerate(sold)]
        at = _FIRST + dt.timedelta(minutes=number * 263)
        subtotal = sum(int(it["price"]) for it in sold)
        who, where = chance.choice(customers)["id"], chance.choice(stores)["id"]
        tax = subtotal * 6 // 100
        orders.append((order, who, at.isoformat(), where, subtotal, tax, subtotal + tax))
    return orders, items


def write(file: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if file.exists():
        return
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([names, *rows])


if __name__ == "__main__":
    main()
