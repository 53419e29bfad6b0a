"""Texts of the common form, drawn at random, and a few mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from dagster_models.sql.dialects.known_functions import FUNCTIONS

_NAMES = ("id", "total", "x_1", "day", "status", "_a", '"Total"', "n", "c1")
_TYPES = ("int", "varchar(10)", "decimal(10, 2)", "date", "TIMESTAMP", "text", "boolean", "double")
_TABLES = ("orders", "raw.events", "a.b.c", "t", '"Items"', "staging.stages", "c1", "c2", "c3")


class CommonTexts:
    """Draws queries of some depth. Not all of them make sense to a warehouse. *functions*: by the
    letter of their names."""

    def __init__(
        self, random: Random, functions: Mapping[str, tuple[str, ...]] = FUNCTIONS
    ) -> None:
        self.random, self.functions = random, functions

    def some(self, make: str, most: int = 3, between: str = ", ") -> str:
        return between.join(getattr(self, make)() for _ in range(self.random.randint(1, most)))

    def may(self, *texts: str) -> str:
        """One of the texts, or nothing."""
        return self.random.choice(texts) if self.random.random() < 0.4 else ""

    def texts(self, count: int) -> Iterator[str]:
        for _ in range(count):
            yield self.text()

    def text(self) -> str:
        """A whole query, in which one in four has a token too many, too few or in another place."""
        ctes = [f"c{at} as ({self.query(1)})" for at in range(1, self.random.randint(1, 4))]
        whole = f"with {', '.join(ctes)} " * bool(ctes) + self.query(2) + self.may(";", " -- end")
        if self.random.random() < 0.75:
            return whole
        words = whole.split(" ")
        at, other = self.random.randrange(len(words)), self.random.randrange(len(words))
        words[at : at + 1] = self.random.choice(([], [words[at]] * 2, [words[other]]))
        return " ".join(words)

    def query(self, depth: int) -> str:
        parts = [
            self.select(depth),
            *(self.select(0) for _ in range(self.random.choice((0, 0, 1)))),
        ]
        union = self.random.choice((" union all ", " union distinct "))
        return union.join(parts) + self.may(f" order by {self.some('ordered')}", " limit 10")

    def select(self, depth: int) -> str:
        self.depth = depth
        items = self.random.choice(("*", self.some("item", 4), self.some("item", 4)))
        query = f"select {self.may('distinct ')}{items} from {self.source(depth)}"
        for _ in range(self.random.choice((0, 1, 2))):
            kind = self.random.choice(("join", "left join", "LEFT OUTER JOIN", "inner join"))
            on = self.random.choice((f"on {self.value(1)}", "using (id)"))
            query += f" {kind} {self.source(depth)} {on}"
        query += self.may(" cross join t")
        query += self.may(
            f" where {self.value(2)}", f" where {self.value(1)}", " where id > $since"
        )
        query += self.may(f" group by {self.some('column')}", " GROUP BY 1, 2")
        return query + self.may(f" having {self.value(1)}", f" qualify {self.value(1)}")

    def source(self, depth: int) -> str:
        table = self.random.choice(_TABLES)
        if depth > 0 and self.random.random() < 0.2:
            table = f"({self.query(depth - 1)})"
        return table + self.may(f" {self.name()}", f" as {self.name()}")

    def name(self) -> str:
        return self.random.choice(_NAMES)

    def column(self) -> str:
        return self.name() if self.random.random() < 0.5 else f"{self.name()}.{self.name()}"

    def item(self) -> str:
        return self.value(2) + self.may(f" as {self.name()}", f" {self.name()}", " as date")

    def ordered(self) -> str:
        return self.value(1) + self.may(" desc", " ASC")

    def value(self, depth: int) -> str:
        if depth == 0:
            return self.random.choice((self.column(), self.column(), *_LITERALS))
        inner = [self.value(depth - 1) for _ in range(4)]
        made = self.random.choice((self.call, self.other))(*inner)
        return f"({made})" if self.random.random() < 0.5 else made

    def call(self, *given: str) -> str:
        kind = self.random.choice([*self.functions])
        name = self.random.choice(self.functions[kind])
        name = self.random.choice((name, name.upper()))
        if kind == "8":
            return f"{name}({given[0]} as {self.random.choice(_TYPES)})"
        if kind == "@":  # an unknown one, perhaps of a schema, or a subscript
            arguments = ", ".join(given[: self.random.randint(0, 3)])
            made = self.random.choice((f"{name}({arguments})", self.column()))
            return made + self.may("[0]", "['key'][1]::int", "::int")
        count = {"0": 0, "1": 1, "2": 2, "5": 1, "6": 1, "9": 3, "#": 1}.get(kind)
        if count is None:
            count = self.random.randint(1, 3)
        distinct = self.may("distinct ") if kind == "5" else ""
        over = f" over ({self.may('partition by ' + self.name())} order by {self.ordered0()})"
        return f"{name}({distinct}{', '.join(given[:count])})" + self.may(over)

    def ordered0(self) -> str:
        return self.name() + self.may(" desc")

    def other(self, one: str, two: str, three: str, four: str) -> str:
        return self.random.choice(
            (
                *(f"{one} {sign} {two}" for sign in ("+", "-", "*", "/", "||")),
                *(f"{one} {sign} {two}" for sign in ("=", "<>", "!=", "<", ">=", "and", "OR")),
                *(f"({one})", f"-{self.column()}", f"not {one}", f"{self.column()}::int"),
                *(f"{one} is not null", f"{one} IS NULL", f"{one} not like 'a%'"),
                *(f"{one} between {two} and {three}", f"{one} in ({two}, {three})"),
                f"case when {one} then {two} else {three} end",
                f"case {one} when {two} then {three} when 1 then {four} end",
                *(f"{one} in (select id from t)", "exists (select 1 from raw.events)"),
                *("(select max(id) from a.b.c)", f"replace({one}, {two}, {three})"),
            )
        )


_LITERALS = (
    *("1", "1.5", "'a'", "'it''s'", "null", "TRUE", "date '2024-01-01'", "current_date"),
    *("interval '1 day'", "interval 1 day", "current_timestamp"),
)
