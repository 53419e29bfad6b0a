"""Random queries for DuckDB: right ones, and ones with a name too many or too few."""

from __future__ import annotations

from random import Random

TABLES = {
    "a": "k INTEGER, x INTEGER, y VARCHAR",
    "b": "k INTEGER, x BIGINT, z DOUBLE",
    "c": "k INTEGER, x INTEGER, s STRUCT(f INTEGER, k VARCHAR)",
    "d": "k INTEGER, x INTEGER, b INTEGER, d DATE",
}
RARE = ["y", "z", "j", "s", "b", "d", "f", "q", "v", "w"]
NAMES = [*["k", "x"] * 60, *RARE]


class Queries:
    """Draws queries of some depth; ``ctes`` are the names that a query may read beside tables."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.count = 0

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def fresh(self) -> str:
        self.count += 1
        return self.random.choice([f"t{self.count}", *(RARE if self.chance(0.1) else [])])

    def query(self, depth: int, ctes: tuple[str, ...] = ()) -> str:
        if depth > 0 and self.chance(0.3):
            bodies = []
            for _ in range(self.random.randint(1, 2)):
                name = self.random.choice(["u1", "u2", "a", "b"])
                columns = "(v, w)" if self.chance(0.1) else ""
                bodies.append(f"{name}{columns} as ({self.query(depth - 1, ctes)})")
                ctes = (*ctes, name)
            return f"with {', '.join(bodies)} {self.select(depth - 1, ctes)}"
        if depth > 0 and self.chance(0.15):
            word = self.random.choice(["union", "union all", "except", "union all by name"])
            return f"({self.select(depth - 1, ctes)}) {word} ({self.select(depth - 1, ctes)})"
        return self.select(depth, ctes)

    def select(self, depth: int, ctes: tuple[str, ...]) -> str:
        from_, items = self.from_list(depth, ctes)
        columns = ", ".join(
            self.output(depth, items, ctes) for _ in range(self.random.randint(1, 3))
        )
        columns += f", {items[0]}.k as k, {items[0]}.x as x" if self.chance(0.6) else ""
        text = f"select {columns} from {from_}"
        if self.chance(0.3):
            text += f" where {self.condition(depth, items, ctes)}"
        if self.chance(0.3):
            text += f" order by {self.column(items)}"
        if self.chance(0.1):
            text += " limit 3"
        return text

    def from_list(self, depth: int, ctes: tuple[str, ...]) -> tuple[str, list[str]]:
        text, name = self.item(depth, ctes)
        items = [name]
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            more, name = self.item(depth, ctes)
            kind = self.random.choice(["join", "left join", "right join", "full join", "semi join"])
            how = self.random.choice(["using (k)", f"on {items[0]}.k = {name}.k", "on true", ""])
            if kind == "semi join" and not how:
                how = "using (k)"
            if how:
                text += f" {kind} {more} {how}"
            else:
                text += f", {more}" if self.chance(0.5) else f" natural join {more}"
            items.append(name)
        return text, items

    def item(self, depth: int, ctes: tuple[str, ...]) -> tuple[str, str]:
        if depth > 0 and self.chance(0.3):
            name = self.fresh()
            columns = "(k, x)" if self.chance(0.15) else ""
            return f"({self.query(depth - 1, ctes)}) as {name}{columns}", name
        table = self.random.choice([*TABLES, *ctes, *ctes])
        if self.chance(0.5):
            name = self.fresh()
            return f"{table} as {name}", name
        return table, table

    def column(self, items: list[str]) -> str:
        name = self.random.choice(NAMES)
        if self.chance(0.85):
            name = f"{self.random.choice(items) if self.chance(0.99) else 'a'}.{name}"
        return f"{name}.f" if self.chance(0.02) else name

    def output(self, depth: int, items: list[str], ctes: tuple[str, ...]) -> str:
        if self.chance(0.2):
            star = self.random.choice(["*", f"{self.random.choice(items)}.*"])
            return star + (" exclude (k)" if self.chance(0.2) else "")
        if depth > 0 and self.chance(0.1):
            inner, names = self.from_list(0, ctes)
            condition = self.condition(0, [*names, *items], ctes)
            body = f"(select max({self.column(names)}) from {inner} where {condition})"
            return f"{body} as {self.random.choice(NAMES)}"
        text = self.column(items)
        if self.chance(0.3):
            text = self.random.choice(
                [f"{text} is null", f"coalesce({text}, {self.column(items)})"]
            )
            return f"{text} as {self.random.choice(NAMES)}"
        return f"{text} as {self.random.choice(NAMES)}" if self.chance(0.4) else text

    def condition(self, depth: int, items: list[str], ctes: tuple[str, ...]) -> str:
        if depth > 0 and self.chance(0.3):
            inner, names = self.from_list(depth - 1, ctes)
            return (
                f"exists (select 1 from {inner} where {self.condition(0, [*names, *items], ctes)})"
            )
        return f"{self.column(items)} is not null"
