"""Which tables a statement reads and writes, by a walk over its scopes.

sqlglot's own ``traverse_scope`` misses case folding of CTEs, PIVOT and SUMMARIZE statements, and
"all tables minus all CTE names" is wrong for ``with orders as (select * from orders)``. So the
scopes are walked here, with a stack of our own: a real file has an OR chain of 593 terms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, NamedTuple, TypeAlias

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.nodes import (
    has_room,
    identifiers_of,
    is_relation,
    is_temporary,
    is_written,
    without_relations,
)

#: What a name is looked up in: each of these has a FROM list (or a target) of its own.
_OPENS = (exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Pivot)
#: Nearly all nodes of a tree, and nothing is in them. (What a hint names are aliases.)
_LEAVES = frozenset({exp.Identifier, exp.Literal, exp.Hint})
#: What changes a relation; a query has none of them in it.
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into)
#: DuckDB's schema of the whole of a recursive CTE.
_RECURRING = "recurring"


@dataclass(slots=True)
class Scope:
    """One query: the CTEs it sees, what its FROM items are called, the tables among them."""

    parent: Scope | None
    ctes: frozenset[str]
    names: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)  #: those of ``names`` that will stay as they are
    aliases: set[str] = field(default_factory=set)  #: of expressions; kept for ClickHouse's IN
    tables: list[FoundTable] = field(default_factory=list)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


@dataclass(frozen=True, slots=True, eq=False)
class FoundTable:
    """A name of a table: its identifiers (outermost first) and what they fold to.

    ``aliased``: it has an alias, or stands where none may be written. ``certain``: it is the name
    of a table; else it may be a column's too (ClickHouse's `x in y`).
    """

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    aliased: bool
    written: bool
    scope: Scope
    certain: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FoundQualifier:
    """The part `a.b` of a column `a.b.c` that names ``table``."""

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    table: FoundTable


@dataclass(slots=True)
class Found:
    """What a statement says. ``clashing``: tables of one FROM list that only their schema tells
    apart, so that their bare names would be ambiguous or mean another. ``temporary``: tables that
    it creates for the session. ``opaque``: sqlglot does not understand the statement, tables may
    hide in it. ``writes``: the kinds of statements and clauses in it that write."""

    tables: list[FoundTable] = field(default_factory=list)
    qualifiers: list[FoundQualifier] = field(default_factory=list)
    clashing: set[FoundTable] = field(default_factory=set)
    temporary: list[str] = field(default_factory=list)
    opaque: bool = False
    writes: list[str] = field(default_factory=list)


def find(
    statement: exp.Expr,
    dialect: Dialect,
    is_string: Callable[[exp.Identifier], bool],
    temporary: Sequence[str] = (),
    arguments: Collection[int] = (),
) -> Found:
    """Walk a statement. ``temporary`` are names that earlier statements of the text created;
    ``is_string`` says whether an identifier is written in single quotes; ``arguments`` are the
    places of names that look like columns and are tables (prepare.py)."""
    walk = _Walk(dialect, is_string, arguments)
    walk.stack.append((statement, Scope(None, frozenset(temporary))))
    while walk.stack:
        walk.visit(*walk.stack.pop())
    return walk.result()


class _Walk:
    def __init__(
        self,
        dialect: Dialect,
        is_string: Callable[[exp.Identifier], bool],
        arguments: Collection[int],
    ) -> None:
        self.dialect, self.is_string, self.arguments = dialect, is_string, arguments
        self.stack: list[tuple[exp.Expr, Scope]] = []
        self.found = Found()
        self.columns: list[tuple[tuple[exp.Identifier, ...], Scope]] = []
        self.bare: list[tuple[exp.Identifier, Scope]] = []  #: the `a` of columns `a.b`
        self.lists: list[FoundTable] = []  #: after IN in ClickHouse: tables, columns or aliases
        self.scopes: list[Scope] = []

    def fold(self, identifier: exp.Identifier) -> str:
        return self.dialect.fold(identifier.name, bool(identifier.args.get("quoted")))

    def alias(self, identifier: exp.Identifier) -> str:
        return self.dialect.alias(self.fold(identifier))

    def local(self, table: FoundTable) -> tuple[str, ...]:
        """The table's parts as columns are looked up by them."""
        return tuple(self.dialect.alias(part) for part in table.parts)

    def visit(self, node: exp.Expr, scope: Scope) -> None:
        args = node.args
        alias = args.get("alias")
        if alias is not None:
            self.given(alias, scope)
        look, opens, without = _KINDS.get(type(node)) or _kind(type(node))
        if look is not None:
            look(self, node, scope)
        inner = scope
        if opens or args.get("with_") is not None:
            inner = self.open(node, opens, scope)
        for child in node.iter_expressions():
            of = type(child)
            if of in _LEAVES or child.arg_key in without:
                continue
            if of is not exp.Column or not self.plain_column(child, inner):
                self.stack.append((child, inner))

    def given(self, alias: exp.Expr, scope: Scope) -> None:
        """The name of a FROM item or of an expression."""
        if isinstance(alias, exp.TableAlias) and isinstance(alias.this, exp.Identifier):
            name = self.alias(alias.this)
            scope.names.add(name)
            scope.given.add(name)
        elif self.dialect.in_reads_tables and isinstance(alias, exp.Identifier):
            scope.aliases.add(self.alias(alias))

    def open(self, node: exp.Expr, opens: bool, scope: Scope) -> Scope:
        """The scope of the node's children; the bodies of its CTEs are put on the stack."""
        with_ = node.args.get("with_")
        if not isinstance(with_, exp.With):  # `is json with unique keys` has a bool there
            with_ = None
        if with_ is None and not opens:
            return scope
        ctes = scope.ctes
        recursive = with_ is not None and (
            bool(with_.args.get("recursive")) or self.dialect.always_recursive
        )
        named, constants = [], set()
        for cte in _ctes(with_):
            name = self.alias(cte.args["alias"].this)
            if cte.args.get("scalar"):  # ClickHouse: `with 5 as x`
                constants.add(name)
                self.stack.append((cte.this, Scope(scope, ctes)))
            else:
                named.append((cte.this, name))
        every = ctes.union(name for _, name in named)
        if recursive and self.dialect.recursive_ctes_in_any_order:
            ctes = every
        for body, name in named:
            seen = (every - {name}) | (ctes & {name}) if self.dialect.ctes_in_any_order else ctes
            self.cte(body, name, Scope(scope, seen), recursive)
            ctes = ctes | {name}
        inner = Scope(scope, every)
        inner.aliases |= constants
        self.scopes.append(inner)
        return inner

    def cte(self, body: exp.Expr, name: str, scope: Scope, recursive: bool) -> None:
        itself = Scope(scope.parent, scope.ctes | {name})
        while isinstance(body, (exp.Subquery, exp.Paren)) and not _is_more_than_parentheses(body):
            body = body.this
        if not recursive:
            self.stack.append((body, scope))
        elif not self.dialect.second_half_recurs:
            self.stack.append((body, itself))
        elif _recurses(body):
            # DuckDB (measured): the first half still reads the table of that name, only the
            # second half reads the CTE; without a UNION there is no recursion at all. Where the
            # word RECURSIVE is not needed nothing else can be meant. All rows found so far are
            # `recurring.name` there, also with a catalog, even where that is a table.
            itself.ctes |= {f"{_RECURRING}.{name}"}
            for child in body.iter_expressions():
                self.stack.append((child, scope if child.arg_key == "this" else itself))
        else:
            self.stack.append((body, scope))

    def table(self, node: exp.Table, scope: Scope) -> None:
        names = identifiers_of(node)
        if not names or not is_relation(node):
            return
        parts = tuple(self.fold(identifier) for identifier in names)
        if len(parts) == 2 and node.args.get("catalog") is not None:  # `db..t`
            parts = (parts[0], self.dialect.default_schema, parts[1])
        aliased = bool(node.alias)
        name = self.dialect.alias(parts[-1])
        if not aliased:
            scope.names.add(name)
        if self.is_elsewhere(names[-1], parts, scope):
            if not aliased:
                scope.given.add(name)
            return
        free = not aliased and has_room(node, self.dialect)
        self.add(FoundTable(names, parts, not free, is_written(node), scope))

    def is_elsewhere(self, last: exp.Identifier, parts: tuple[str, ...], scope: Scope) -> bool:
        """Whether the name is a CTE's, a session's own table's, the system's or a file's."""
        if len(parts) == 1 and self.dialect.alias(parts[0]) in scope.ctes:
            return True
        if parts[-2:-1] == (_RECURRING,) and ".".join(parts[-2:]) in scope.ctes:
            return True
        if last.args.get("temporary") or last.args.get("global_"):  # T-SQL: #t and ##t
            return True
        quoted = bool(last.args.get("quoted"))
        in_string = self.is_string(last)
        return self.dialect.is_system(parts) or self.dialect.is_file(parts, in_string, quoted)

    def add(self, table: FoundTable) -> None:
        self.found.tables.append(table)
        table.scope.tables.append(table)

    def plain_column(self, node: exp.Expr, scope: Scope) -> bool:
        """Whether the column is an `a` or `t.a`, as nearly all are: then nothing more is in it."""
        args = node.args
        owner = args.get("table")
        whole = type(args["this"]) is exp.Identifier and (
            owner is None or (type(owner) is exp.Identifier and args.get("db") is None)
        )
        if not whole or self.arguments:
            return False
        if owner is not None:
            self.bare.append((owner, scope))
        return True

    def column(self, node: exp.Column, scope: Scope) -> None:
        if self.arguments and node.parts[0].meta.get("start") in self.arguments:
            self.argument(node, scope)
        elif node.args.get("db") is not None:
            parts = (node.args.get("catalog"), node.args["db"], node.args["table"])
            self.columns.append((tuple(p for p in parts if isinstance(p, exp.Identifier)), scope))
        elif isinstance(owner := node.args.get("table"), exp.Identifier):
            self.bare.append((owner, scope))

    def argument(self, node: exp.Expr, scope: Scope, certain: bool = True) -> FoundTable | None:
        """A name that looks like a column's and is a table's."""
        names = node.parts if isinstance(node, exp.Column) else ()
        identifiers = tuple(part for part in names if isinstance(part, exp.Identifier))
        parts = tuple(self.fold(identifier) for identifier in identifiers)
        if not parts or self.dialect.is_system(parts):
            return None
        if len(parts) == 1 and self.dialect.alias(parts[0]) in scope.ctes:
            return None
        table = FoundTable(identifiers, parts, True, False, scope, certain)
        if certain:
            self.add(table)
        return table

    def function(self, node: exp.Anonymous, scope: Scope) -> None:
        place = self.dialect.table_arguments.get(node.name.lower())
        in_from = isinstance(node.parent, exp.Table)  # DuckDB's histogram is an aggregate as well
        if in_from and place is not None and place < len(node.expressions):
            self.argument(node.expressions[place], scope)

    def inside(self, node: exp.In, scope: Scope) -> None:
        """ClickHouse: `x in db.t` reads the table db.t, if there is no column or alias so named."""
        if not self.dialect.in_reads_tables:
            return
        listed = node.args.get("field")
        table = self.argument(listed, scope, certain=False) if listed is not None else None
        if table is not None:
            self.lists.append(table)

    def command(self, node: exp.Command, scope: Scope) -> None:
        self.found.opaque = True

    def write(self, node: exp.Expr, scope: Scope) -> None:
        self.found.writes.append(type(node).__name__.upper())

    def create(self, node: exp.Create, scope: Scope) -> None:
        if is_temporary(node):
            table = node.this.this if isinstance(node.this, exp.Schema) else node.this
            if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
                self.found.temporary.append(self.fold(table.this))

    def result(self) -> Found:
        if self.dialect.array_paths:
            tables = [table for table in self.found.tables if not self.is_array_path(table)]
            self.found.tables = tables
        for table in self.lists:
            known = table.scope.chain()
            if not any(table.parts[0] in (s.names | s.aliases) for s in known):
                self.add(table)
        clashing, qualifiers = self.found.clashing, self.found.qualifiers
        for scope in self.scopes:
            clashing.update(self.clashing(scope))
        for identifiers, scope in self.columns:
            qualifier = self.qualifier(identifiers, scope)
            if qualifier is not None:
                qualifiers.append(qualifier)
                if self.is_captured(qualifier.table, scope):
                    clashing.add(qualifier.table)
        if clashing:  # their names as aliases are not the bare ones
            for identifier, scope in self.bare:
                name = self.alias(identifier)
                owner = self.named(name, scope)
                if owner is not None and owner in clashing:
                    qualifiers.append(FoundQualifier((identifier,), (name,), owner))
        return self.found

    def clashing(self, scope: Scope) -> Iterator[FoundTable]:
        """Tables of one FROM list that share their last part, with each other or with an alias."""
        by_name: dict[str, list[FoundTable]] = {}
        for table in scope.tables:
            if not table.aliased:
                by_name.setdefault(self.local(table)[-1], []).append(table)
        for name, same in by_name.items():
            if name in scope.given or len({table.parts for table in same}) > 1:
                yield from same

    def is_captured(self, table: FoundTable, scope: Scope) -> bool:
        """Whether the table's bare name would mean another FROM item where *scope* sees it from
        within: `select (select s.t.a from u as t) from s.t`."""
        name = self.local(table)[-1]
        inner = takewhile(lambda around: around is not table.scope, scope.chain())
        return any(name in around.names for around in inner)

    def named(self, name: str, scope: Scope) -> FoundTable | None:
        """The one table that the bare name means as a column's prefix."""
        around = next((s for s in scope.chain() if name in s.names), None)
        if around is None or name in around.given:
            return None
        same = [t for t in around.tables if not t.aliased and self.local(t)[-1] == name]
        return same[0] if len(same) == 1 else None

    def is_array_path(self, table: FoundTable) -> bool:
        """Whether the first part is what another FROM item is called; `orders.orders` is not."""
        parts = self.local(table)
        itself = table.scope if parts[0] == parts[-1] else None
        return len(parts) > 1 and any(
            parts[0] in around.names
            for around in table.scope.chain()
            if around is not itself or parts[0] in around.given or self.is_second(table)
        )

    def is_second(self, table: FoundTable) -> bool:
        """Whether a table before it in the same FROM list has the same bare name."""
        name, start = self.local(table)[-1], table.identifiers[0].meta.get("start", 0)
        return any(
            not other.aliased and self.local(other)[-1] == name
            for other in table.scope.tables
            if other is not table and other.identifiers[0].meta.get("start", 0) < start
        )

    def qualifier(
        self, identifiers: tuple[exp.Identifier, ...], scope: Scope
    ) -> FoundQualifier | None:
        """The table that a column's prefix names; None for the fields of a struct.

        `a.b.c.d` may be catalog.schema.table.column or schema.table.column.field, so every prefix
        is tried, the longest first, in the scopes from the inside out.
        """
        parts = tuple(self.alias(identifier) for identifier in identifiers)
        for around in scope.chain():
            free = [table for table in around.tables if not table.aliased]
            for length in range(len(parts), 1, -1):
                prefix = parts[:length]
                fitting = [t for t in free if _same_table(self.local(t), prefix, around.names)]
                if fitting:
                    best = max(fitting, key=lambda t: (self.local(t) == prefix, len(t.parts)))
                    return FoundQualifier(identifiers[:length], prefix, best)
        return None


_Look: TypeAlias = Callable[[_Walk, Any, Scope], None]
_LOOKS: tuple[tuple[type[exp.Expr], _Look], ...] = (
    (exp.Table, _Walk.table),
    (exp.Column, _Walk.column),
    (exp.In, _Walk.inside),
    (exp.Command, _Walk.command),
    (exp.Create, _Walk.create),
    (exp.Anonymous, _Walk.function),
    *((kind, _Walk.write) for kind in _WRITES),
)


class _Kind(NamedTuple):
    """What the walk does at a class of nodes. ``without``: arguments with no relations in them, or
    with those that are looked at elsewhere."""

    look: _Look | None
    opens: bool
    without: frozenset[str]


#: A query has hundreds of nodes, and only some dozens of classes.
_KINDS: dict[type[exp.Expr], _Kind] = {}


def _kind(of: type[exp.Expr]) -> _Kind:
    look = next((look for kind, look in _LOOKS if issubclass(of, kind)), None)
    without = without_relations(of) | {"with_"}
    _KINDS[of] = _Kind(look, issubclass(of, _OPENS), without)
    return _KINDS[of]


def _is_more_than_parentheses(node: exp.Expr) -> bool:
    return any(value for key, value in node.args.items() if key != "this")


def _recurses(body: exp.Expr) -> bool:
    """DuckDB (measured): neither UNION BY NAME nor a UNION below a WITH of its own recurses."""
    plain = isinstance(body, exp.Union) and not body.args.get("with_")
    return plain and not body.args.get("by_name")


def _ctes(with_: exp.Expr | None) -> list[exp.Expr]:
    return list(with_.expressions) if with_ is not None else []


def _same_table(table: tuple[str, ...], prefix: tuple[str, ...], names: set[str]) -> bool:
    """Whether `prefix` may name the table: one is the end of the other.

    For a table written bare, `a.b.c` may also be the field b of its column or table `a`: then a
    FROM item of that name decides against it.
    """
    if len(table) == 1 and prefix[0] in names:
        return False
    length = min(len(table), len(prefix))
    return table[-length:] == prefix[-length:]
