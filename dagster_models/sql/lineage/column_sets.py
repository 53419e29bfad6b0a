"""What a query's names mean: FROM items, the scopes that they stand in, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import NamedTuple, TypeVar

from sqlglot import exp

from dagster_models.core.traced import ColumnProblem, Kept, Name, Origin, Schema

_T = TypeVar("_T", Origin, Kept)


def digest_of(*parts: str) -> str:
    """16 hex digits that stand for the parts."""
    return blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


def in_order(found: frozenset[_T]) -> tuple[_T, ...]:
    return tuple(found) if len(found) < 2 else tuple(sorted(found))  # nearly always one


class Value(NamedTuple):
    """What is known of an expression. The fields are those of TracedColumn. (It is a tuple because
    a query has hundreds of them.)"""

    type: str = ""
    sources: frozenset[Origin] = frozenset()
    digest: str = ""
    reason: str = ""
    kept: frozenset[Kept] = frozenset()

    def typed(self, type_: str) -> Value:
        return self if type_ == self.type else self._replace(type=type_)


@dataclass(frozen=True)
class ColumnSet:
    """The columns of a query or of a FROM item, in order. One without a name is called "".

    ``closed``: there are no others. ``origins``: the keys of upstream relations whose columns are
    not all known, and show through (``select * from raw.orders``). ``reason``: why columns are
    missing. ``row_sources``: the columns that decide which rows there are. ``problems``: those of a
    CTE, which are reported when something reads it. ``is_value``: the name of a CTE is a value
    as well, as in ClickHouse's `with 5 as x select x`.
    """

    columns: tuple[tuple[str, Value], ...] = ()
    closed: bool = True
    certain: bool = True
    origins: tuple[Name, ...] = ()
    reason: str = ""
    rows: str = ""
    row_sources: frozenset[Origin] = frozenset()
    problems: tuple[ColumnProblem, ...] = ()
    is_value: bool = False

    @cached_property
    def every_source(self) -> frozenset[Origin]:
        """What all columns are made of. `*` stands for the columns that are not known."""
        known = (source for _, value in self.columns for source in value.sources)
        return frozenset((*known, *((key, "*") for key in self.origins)))

    @cached_property
    def relations(self) -> frozenset[Name]:
        """The upstream relations that the columns are made of."""
        return frozenset(relation for relation, _ in self.every_source)

    @cached_property
    def by_name(self) -> dict[str, list[Value]]:
        found: dict[str, list[Value]] = {}
        for name, value in self.columns:
            lower = name.lower()
            if lower in found:
                found[lower].append(value)
            else:
                found[lower] = [value]
        return found

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Lower case -> the name of a column as the relation spells it."""
        return {name.lower(): name for name, _ in reversed(self.columns)}

    @cached_property
    def knows_all(self) -> bool:
        """Whether a name that is not among the columns cannot be a column."""
        return self.closed and "" not in self.by_name

    def renamed(self, names: Iterable[str]) -> ColumnSet:
        """The same with *names* for the first columns: ``t (a, b)``."""
        given = list(names)
        if not given:
            return self
        columns = list(self.columns)
        if not self.closed and len(columns) < len(given):
            columns += [("", Value(reason=self.reason))] * (len(given) - len(columns))
        kept = columns[len(given) :]
        new = [(name, value) for name, (_, value) in zip(given, columns, strict=False)]
        return replace(self, columns=(*new, *kept))

    def numbered(self, cased: bool = False) -> ColumnSet:
        """The same with `x` and `x_1` for two columns of one name, as DuckDB calls them in a table,
        and in a subquery or CTE that is read. ``cased``: `x` and `X` are two names."""
        named = self.by_name
        if len(named) == len(self.columns) or all(len(it) == 1 for n, it in named.items() if n):
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
    """One item of a FROM list. ``name``: the prefix of its columns, folded. ``home``: what stands
    before the name of a table that has no alias."""

    name: str
    column_set: ColumnSet
    home: tuple[str, ...] = ()
    hidden: set[str] = field(
        default_factory=set
    )  #: merged by USING, so that ``*`` does not repeat them
    shown: dict[str, Value] = field(
        default_factory=dict
    )  #: the merged columns that ``*`` shows here


@dataclass(slots=True)
class ColumnScope:
    """One SELECT: its FROM items, the names of its own columns, and the scope around it."""

    outer: ColumnScope | None
    ctes: dict[str, ColumnSet]
    items: list[Item] = field(default_factory=list)
    since: int = 0  #: the index of the first item behind the last comma, where USING begins to look
    deciding: set[Origin] = field(default_factory=set)  #: see ColumnSet.row_sources
    merged: dict[str, Value] = field(default_factory=dict)  #: columns of USING, by lower case
    aliases: dict[str, Value] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)  #: names of the SELECT's columns, lower case
    later: set[str] = field(default_factory=set)  #: those of them that are aliases

    def chain(self) -> tuple[ColumnScope, ...]:
        """This scope and those around it, innermost first."""
        return (self,) if self.outer is None else (self, *self.outer.chain())

    def item(self, name: str, home: tuple[str, ...] = ()) -> Item | None:
        """The FROM item whose columns have the prefix *name* (folded), from the inside out.
        Of several, the one that is written with the schema that *home* names."""
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
    """There is no such column. ``certain``: the schemas that were searched are all certain."""

    certain: bool
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several FROM items have such a column."""

    certain: bool
    items: tuple[str, ...]
    value: Value


def look_up(scope: ColumnScope, name: str) -> Value | Missing | Ambiguous:
    """Look up a column without a prefix: in the FROM items, then among the SELECT's own aliases,
    then in the scope around it."""
    lower = name.lower()
    certain = True
    known: list[str] = []
    for around in scope.chain():
        if lower in around.merged:
            return around.merged[lower]
        hits = [
            (item, _only(item, lower, name))
            for item in around.items
            if lower in item.column_set.by_name
        ]
        if len(hits) == 1:
            return hits[0][1]
        if hits:
            return _several(around, lower, hits)
        row = next((item for item in around.items if item.name.lower() == lower), None)
        if row is not None and all(item.column_set.knows_all for item in around.items):
            return whole_row(row)
        if lower in around.aliases:
            return around.aliases[lower]
        unknown = [item for item in around.items if not item.column_set.knows_all]
        if unknown:
            return guessed(name, unknown)
        if lower in around.later:
            return Value(reason=f"`{name}` is a column of the same SELECT")
        values = (c for n, c in around.ctes.items() if c.is_value and n.lower() == lower)
        if (column_set := next(values, None)) is not None:
            found = [value for _, value in column_set.columns]
            return found[0] if len(found) == 1 else together(found)
        certain = certain and all(item.column_set.certain for item in around.items)
        known += [column for item in around.items for column, _ in item.column_set.columns]
    return Missing(certain, tuple(known))


def _only(item: Item, lower: str, name: str) -> Value:
    """The item's column of that name, if necessary in another case."""
    found = item.column_set.by_name[lower]
    if len(found) > 1:
        exact = [value for column, value in item.column_set.columns if column == name]
        return exact[0] if exact else found[0]
    return found[0]


def _several(scope: ColumnScope, lower: str, hits: list[tuple[Item, Value]]) -> Value | Ambiguous:
    value = together(value for _, value in hits)
    if lower in scope.outputs:  # `select a.id ... order by id` means the SELECT's own
        return value
    column_sets = [item.column_set for item, _ in hits]
    certain = all(column_set.certain and column_set.closed for column_set in column_sets)
    return Ambiguous(certain, tuple(item.name for item, _ in hits), value)


def guessed(name: str, items: list[Item]) -> Value:
    """A column of items whose columns are not all known. It is sure if there is one relation."""
    if all(item.column_set.closed for item in items):  # it is a column without a known name
        unnamed = [value for item in items for value in item.column_set.by_name.get("", ())]
        if len(unnamed) == 1:
            return unnamed[0]
        reason = f"`{name}` may be any column without an alias"
        return together(unnamed)._replace(reason=reason)
    origins = tuple(dict.fromkeys(key for item in items for key in item.column_set.origins))
    hidden = next((item.column_set.reason for item in items if item.column_set.reason), "")
    if len(items) == 1 and len(origins) == 1 and not hidden:
        return column_of(origins[0], name)
    if len(items) == 1 and not origins and not hidden:
        return Value(digest=digest_of("external", items[0].name, name.lower()))
    names = " or ".join(f"`{item.name}`" for item in items)
    reason = hidden or f"`{name}` may be of {names}: not all their columns are known"
    return Value(digest=digest_of("guess", *map(".".join, origins), name.lower()), reason=reason)


def column_of(key: Name, name: str, type_: str = "") -> Value:
    """A column of something upstream."""
    digest, kept = digest_of("column", *key, name.lower()), frozenset({(key, name, "")})
    return Value(type_, frozenset({(key, name)}), digest, kept=kept)


@lru_cache(maxsize=512)  # several models of a project read the same one
def columns_of(key: Name, schema: Schema, rows: str) -> ColumnSet:
    """The columns of something upstream."""
    columns = tuple((name, column_of(key, name, type_)) for name, type_ in schema.columns)
    origins = () if schema.closed else (key,)
    return ColumnSet(columns, schema.closed, schema.certain, origins, "", rows)


def whole_row(item: Item) -> Value:
    """``select t from t``: all columns as one value."""
    value = together(value for _, value in item.column_set.columns)
    reason = value.reason or ("" if item.column_set.closed else f"a row of `{item.name}`")
    return value._replace(reason=reason)


def either(one: Value, two: Value, type_: str = "") -> Value:
    """The value of a column of a UNION: one of the two."""
    kept = one.kept | two.kept if one.kept and two.kept else frozenset()
    return together((one, two), type_, "union")._replace(kept=kept)


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


def searched(
    column_set: ColumnSet, with_: exp.Expr, output: Callable[[exp.Expr], str]
) -> ColumnSet:
    """Add the columns of SEARCH and CYCLE in a WITH: `cycle id set is_cycle using path`."""
    for key in ("search", "cycle"):
        clause = with_.args.get(key)
        names = (clause.args.get(of) for of in ("expression", "using")) if clause else ()
        made = [output(name) for name in names if isinstance(name, exp.Expr)]
        value = Value(digest=digest_of(key, column_set.rows), reason=f"a column of {key.upper()}")
        column_set = replace(
            column_set, columns=(*column_set.columns, *((name, value) for name in made))
        )
    return column_set
