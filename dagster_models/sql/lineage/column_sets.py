"""What a query's names mean: FROM items, the scopes they stand in, and the columns they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b

from dagster_models.core.traced import ColumnProblem, Name, Origin


def digest_of(*parts: str) -> str:
    """16 hex digits that stand for the parts."""
    return blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression; as in TracedColumn."""

    type: str = ""
    sources: frozenset[Origin] = frozenset()
    digest: str = ""
    reason: str = ""

    def typed(self, type_: str) -> Value:
        return Value(type_, self.sources, self.digest, self.reason)


@dataclass(frozen=True)
class Shape:
    """The columns of a query or of a FROM item, in order; an unnamed one has the name "".

    ``closed``: there are no others. ``origins``: the keys of upstream relations whose columns are
    not all known and show through (``select * from raw.orders``). ``reason``: what hides columns.
    """

    columns: tuple[tuple[str, Value], ...] = ()
    closed: bool = True
    certain: bool = True
    origins: tuple[Name, ...] = ()
    reason: str = ""
    rows: str = ""
    row_sources: frozenset[Origin] = frozenset()  #: the columns that decide which rows there are
    problems: tuple[ColumnProblem, ...] = ()  #: of a CTE, told when it is read

    @cached_property
    def by_name(self) -> dict[str, list[Value]]:
        found: dict[str, list[Value]] = {}
        for name, value in self.columns:
            found.setdefault(name.lower(), []).append(value)
        return found

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Lower case -> the name of a column as it is written in the relation."""
        return {name.lower(): name for name, _ in reversed(self.columns)}

    @cached_property
    def knows_all(self) -> bool:
        """Whether a name that is not among the columns is none of them."""
        return self.closed and "" not in self.by_name

    def renamed(self, names: Iterable[str]) -> Shape:
        """With the first columns called *names*: ``t (a, b)``."""
        given = list(names)
        if not given:
            return self
        columns = list(self.columns)
        if not self.closed and len(columns) < len(given):
            columns += [("", Value(reason=self.reason))] * (len(given) - len(columns))
        kept = columns[len(given) :]
        new = [(name, value) for name, (_, value) in zip(given, columns, strict=False)]
        return replace(self, columns=(*new, *kept))

    def told_apart(self, cased: bool = False) -> Shape:
        """Two columns of one name become `x` and `x_1`, as DuckDB names them in a table, and in a
        subquery or CTE for what reads it. ``cased``: `x` and `X` are two names."""
        if all(len(values) == 1 for name, values in self.by_name.items() if name):
            return self
        used: set[str] = set()
        columns = []
        for name, value in self.columns:
            free, count = name, 0
            while free and (free if cased else free.lower()) in used:
                count += 1
                free = f"{name}_{count}"
            used.add(free if cased else free.lower())
            columns.append((free, value))
        return replace(self, columns=tuple(columns))


@dataclass(slots=True)
class Item:
    """One item of a FROM list. ``name``: as columns are qualified by it, folded; ``home``: what
    stands before it, of a table that is written without an alias."""

    name: str
    shape: Shape
    home: tuple[str, ...] = ()
    hidden: set[str] = field(default_factory=set)  #: merged by USING: not in ``*`` again
    shown: dict[str, Value] = field(default_factory=dict)  #: the merged columns that ``*`` has here


@dataclass(slots=True)
class Scope:
    """One SELECT: its FROM items, what its own columns are called, and the scope around it."""

    outer: Scope | None
    ctes: dict[str, Shape]
    items: list[Item] = field(default_factory=list)
    since: int = 0  #: the index of the first item behind the last comma: USING looks no further
    deciding: set[Origin] = field(default_factory=set)  #: see Shape.row_sources
    merged: dict[str, Value] = field(default_factory=dict)  #: columns of USING, by lower case
    aliases: dict[str, Value] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)  #: names of the SELECT's columns, lower case
    later: set[str] = field(default_factory=set)  #: those of them that are aliases

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def item(self, name: str, home: tuple[str, ...] = ()) -> Item | None:
        """The FROM item that qualifies columns as *name* (folded), from the inside out; of several
        the one that is written with the same schema, where *home* names one."""
        first = None
        for scope in self.chain():
            for item in scope.items:
                if item.name != name:
                    continue
                if not home or item.home[-len(home) :] == home:
                    return item
                first = first or item
        return first


@dataclass(frozen=True, slots=True)
class Missing:
    """No such column. ``certain``: all schemas that it was looked for in are certain."""

    certain: bool
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several FROM items have the column."""

    certain: bool
    items: tuple[str, ...]
    value: Value


def look_up(scope: Scope, name: str) -> Value | Missing | Ambiguous:
    """The column *name* without a qualifier: in the FROM items, then among the SELECT's own
    aliases, then in the scope around it."""
    lower = name.lower()
    certain = True
    known: list[str] = []
    for around in scope.chain():
        if lower in around.merged:
            return around.merged[lower]
        hits = [(item, value) for item in around.items if (value := _only(item, lower, name))]
        if len(hits) == 1:
            return hits[0][1]
        if hits:
            return _several(around, lower, hits)
        row = next((item for item in around.items if item.name.lower() == lower), None)
        if row is not None and all(item.shape.knows_all for item in around.items):
            return whole_row(row)
        if lower in around.aliases:
            return around.aliases[lower]
        unknown = [item for item in around.items if not item.shape.knows_all]
        if unknown:
            return guessed(name, unknown)
        if lower in around.later:
            return Value(reason=f"`{name}` is a column of the same SELECT")
        if lower in map(str.lower, around.ctes):  # ClickHouse: `with 2 as factor`
            return Value(digest=digest_of("cte", lower))
        certain = certain and all(item.shape.certain for item in around.items)
        known += [column for item in around.items for column, _ in item.shape.columns]
    return Missing(certain, tuple(known))


def _only(item: Item, lower: str, name: str) -> Value | None:
    """The item's column of that name, in another case if there is none in this one."""
    found = item.shape.by_name.get(lower)
    if not found:
        return None
    if len(found) > 1:
        exact = [value for column, value in item.shape.columns if column == name]
        return exact[0] if exact else found[0]
    return found[0]


def _several(scope: Scope, lower: str, hits: list[tuple[Item, Value]]) -> Value | Ambiguous:
    value = together(value for _, value in hits)
    if lower in scope.outputs:  # `select a.id ... order by id` means the SELECT's own
        return value
    shapes = [item.shape for item, _ in hits]
    certain = all(shape.certain and shape.closed for shape in shapes)
    return Ambiguous(certain, tuple(item.name for item, _ in hits), value)


def guessed(name: str, items: list[Item]) -> Value:
    """A column of items whose columns are not all known: surely of the only relation there is."""
    if all(item.shape.closed for item in items):  # it is a column whose name is not known
        unnamed = [value for item in items for value in item.shape.by_name.get("", ())]
        if len(unnamed) == 1:
            return unnamed[0]
        reason = f"`{name}` may be any column without an alias"
        return replace(together(unnamed), reason=reason)
    origins = tuple(dict.fromkeys(key for item in items for key in item.shape.origins))
    hidden = next((item.shape.reason for item in items if item.shape.reason), "")
    if len(items) == 1 and len(origins) == 1 and not hidden:
        return column_of(origins[0], name)
    if len(items) == 1 and not origins and not hidden:
        return Value(digest=digest_of("external", items[0].name, name.lower()))
    names = " or ".join(f"`{item.name}`" for item in items)
    reason = hidden or f"`{name}` may be of {names}: not all their columns are known"
    return Value(digest=digest_of("guess", *map(".".join, origins), name.lower()), reason=reason)


def column_of(key: Name, name: str, type_: str = "") -> Value:
    """A column of something upstream."""
    return Value(type_, frozenset({(key, name)}), digest_of("column", *key, name.lower()))


def whole_row(item: Item) -> Value:
    """``select t from t``: all columns as one value."""
    value = together(value for _, value in item.shape.columns)
    reason = value.reason or ("" if item.shape.closed else f"a row of `{item.name}`")
    return replace(value, reason=reason)


def together(values: Iterable[Value], type_: str = "", word: str = "together") -> Value:
    """One value made of several."""
    sources: frozenset[Origin] = frozenset()
    digests = [word]
    reason = ""
    for value in values:
        sources |= value.sources
        digests.append(value.digest)
        reason = reason or value.reason
    return Value(type_, sources, digest_of(*digests), reason)
