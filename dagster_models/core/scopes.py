"""Which tables a statement reads and writes, by a walk over its scopes.

sqlglot's own ``traverse_scope`` misses case folding of CTEs, PIVOT and SUMMARIZE statements, and
"all tables minus all CTE names" is wrong for ``with orders as (select * from orders)``. So the
scopes are walked here, with a stack of our own: a real file has an OR chain of 593 terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dagster_models.core.dialects import fold, is_file, is_system

#: What a name is looked up in: each of these has a FROM list (or a target) of its own.
_OPENS = (exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Pivot)
#: Under these a table may be given an alias; in `summarize t` or `create table t` it may not.
_ROOM = (exp.From, exp.Join, exp.Subquery, exp.Pivot, exp.Update, exp.Delete, exp.Merge, exp.Table)
#: `from t, t.items` reads an array column of t there; elsewhere it is the table t.items.
_ARRAY_PATHS = {"bigquery", "redshift"}
#: A CTE reads itself there without the word RECURSIVE.
_ALWAYS_RECURSIVE = {"snowflake", "tsql", "fabric", "oracle", "bigquery_legacy"}
_RELATION_KINDS = {"TABLE", "VIEW", "MATERIALIZED VIEW"}


@dataclass(slots=True)
class Scope:
    """One query: the CTEs it sees, what its FROM items are called, the tables among them."""

    parent: Scope | None
    ctes: frozenset[str]
    names: set[str] = field(default_factory=set)
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

    ``aliased``: it has an alias, or stands where none may be written.
    """

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    aliased: bool
    written: bool
    scope: Scope


@dataclass(frozen=True, slots=True, eq=False)
class FoundQualifier:
    """The part `a.b` of a column `a.b.c` that names ``table``."""

    identifiers: tuple[exp.Identifier, ...]
    parts: tuple[str, ...]
    table: FoundTable


@dataclass(slots=True)
class Found:
    """What a statement says. ``clashing``: tables of one FROM list that only their schema tells
    apart, so that their bare names would be ambiguous. ``temporary``: tables that it creates for
    the session. ``opaque``: sqlglot does not understand the statement, tables may hide in it."""

    tables: list[FoundTable] = field(default_factory=list)
    qualifiers: list[FoundQualifier] = field(default_factory=list)
    clashing: set[FoundTable] = field(default_factory=set)
    temporary: list[str] = field(default_factory=list)
    opaque: bool = False


def find(
    statement: exp.Expr,
    dialect: str,
    is_string: Callable[[exp.Identifier], bool],
    temporary: Sequence[str] = (),
) -> Found:
    """Walk a statement. ``temporary`` are names that earlier statements of the text created;
    ``is_string`` says whether an identifier is written in single quotes."""
    walk = _Walk(dialect, is_string)
    walk.stack.append((statement, Scope(None, frozenset(temporary))))
    while walk.stack:
        walk.visit(*walk.stack.pop())
    return walk.result()


class _Walk:
    def __init__(self, dialect: str, is_string: Callable[[exp.Identifier], bool]) -> None:
        self.dialect, self.is_string = dialect, is_string
        self.stack: list[tuple[exp.Expr, Scope]] = []
        self.found = Found()
        self.columns: list[tuple[tuple[exp.Identifier, ...], Scope]] = []
        self.scopes: list[Scope] = []

    def fold(self, identifier: exp.Identifier) -> str:
        return fold(identifier.name, self.dialect, bool(identifier.args.get("quoted")))

    def visit(self, node: exp.Expr, scope: Scope) -> None:
        alias = node.args.get("alias")
        if isinstance(alias, exp.TableAlias) and isinstance(alias.this, exp.Identifier):
            scope.names.add(self.fold(alias.this))
        if isinstance(node, exp.Table):
            self.table(node, scope)
        elif isinstance(node, exp.Column):
            self.column(node, scope)
        elif isinstance(node, exp.In) and self.dialect == "clickhouse":
            self.clickhouse_in(node, scope)
        elif isinstance(node, exp.Command):
            self.found.opaque = True
        elif isinstance(node, exp.Create):
            self.create(node)
        inner = self.open(node, scope)
        for child in node.iter_expressions():
            if child.arg_key == "with_" or _names_no_relation(node, child):
                continue
            self.stack.append((child, inner))

    def open(self, node: exp.Expr, scope: Scope) -> Scope:
        """The scope of the node's children; the bodies of its CTEs are put on the stack."""
        with_ = node.args.get("with_")
        if with_ is None and not isinstance(node, _OPENS):
            return scope
        ctes = scope.ctes
        recursive = with_ is not None and (
            bool(with_.args.get("recursive")) or self.dialect in _ALWAYS_RECURSIVE
        )
        named = [(cte.this, self.fold(cte.args["alias"].this)) for cte in _ctes(with_)]
        if recursive and self.dialect == "postgres":
            # PostgreSQL lets the CTEs of one WITH RECURSIVE see each other in any order.
            ctes = ctes.union(name for _, name in named)
        for body, name in named:
            self.cte(body, name, Scope(scope, ctes), recursive)
            ctes = ctes | {name}
        inner = Scope(scope, ctes)
        self.scopes.append(inner)
        return inner

    def cte(self, body: exp.Expr, name: str, scope: Scope, recursive: bool) -> None:
        itself = Scope(scope.parent, scope.ctes | {name})
        if not recursive:
            self.stack.append((body, scope))
        elif self.dialect != "duckdb":
            self.stack.append((body, itself))
        elif isinstance(body, exp.Union) and not body.args.get("with_"):
            # DuckDB (measured): the first half still reads the table of that name, only the
            # second half reads the CTE; without a UNION there is no recursion at all.
            for child in body.iter_expressions():
                self.stack.append((child, scope if child.arg_key == "this" else itself))
        else:
            self.stack.append((body, scope))

    def table(self, node: exp.Table, scope: Scope) -> None:
        identifiers = _identifiers(node)
        if not identifiers or not _is_relation(node):
            return
        parts = tuple(self.fold(identifier) for identifier in identifiers)
        aliased = bool(node.alias)
        if not aliased:
            scope.names.add(parts[-1])
        if len(parts) == 1 and parts[0] in scope.ctes:
            return
        last = identifiers[-1]
        quoted = bool(last.args.get("quoted"))
        if is_system(parts, self.dialect) or is_file(
            parts, self.is_string(last), quoted, self.dialect
        ):
            return
        if self.dialect == "duckdb" and parts == ("show",) and not quoted:
            return  # `from (show tables)`, which sqlglot takes for a table `show`
        free = not aliased and _has_room(node, self.dialect)
        self.add(FoundTable(identifiers, parts, not free, _is_written(node), scope))

    def add(self, table: FoundTable) -> None:
        self.found.tables.append(table)
        table.scope.tables.append(table)

    def column(self, node: exp.Column, scope: Scope) -> None:
        if node.args.get("db") is not None:
            parts = (node.args.get("catalog"), node.args["db"], node.args["table"])
            self.columns.append((tuple(p for p in parts if isinstance(p, exp.Identifier)), scope))

    def clickhouse_in(self, node: exp.In, scope: Scope) -> None:
        """ClickHouse: `x in db.t` reads the table db.t."""
        field_ = node.args.get("field")
        if isinstance(field_, exp.Column):
            identifiers = tuple(p for p in field_.parts if isinstance(p, exp.Identifier))
            parts = tuple(self.fold(identifier) for identifier in identifiers)
            if parts and not (len(parts) == 1 and parts[0] in scope.ctes):
                self.add(FoundTable(identifiers, parts, True, False, scope))

    def create(self, node: exp.Create) -> None:
        if _is_temporary(node):
            table = node.this.this if isinstance(node.this, exp.Schema) else node.this
            if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
                self.found.temporary.append(self.fold(table.this))

    def result(self) -> Found:
        if self.dialect in _ARRAY_PATHS:
            tables = [table for table in self.found.tables if not _is_array_path(table)]
            self.found.tables = tables
        for identifiers, scope in self.columns:
            qualifier = self.qualifier(identifiers, scope)
            if qualifier is not None:
                self.found.qualifiers.append(qualifier)
        for scope in self.scopes:
            self.found.clashing.update(_clashing(scope.tables))
        return self.found

    def qualifier(
        self, identifiers: tuple[exp.Identifier, ...], scope: Scope
    ) -> FoundQualifier | None:
        """The table that a column's prefix names; None for the fields of a struct.

        `a.b.c.d` may be catalog.schema.table.column or schema.table.column.field, so every prefix
        is tried, the longest first, in the scopes from the inside out.
        """
        parts = tuple(self.fold(identifier) for identifier in identifiers)
        for around in scope.chain():
            free = [table for table in around.tables if not table.aliased]
            for length in range(len(parts), 1, -1):
                prefix = parts[:length]
                fitting = [t for t in free if _same_table(t.parts, prefix, around.names)]
                if fitting:
                    best = max(fitting, key=lambda t: (t.parts == prefix, len(t.parts)))
                    return FoundQualifier(identifiers[:length], prefix, best)
        return None


def _ctes(with_: exp.Expr | None) -> list[exp.Expr]:
    return list(with_.expressions) if with_ is not None else []


def _identifiers(node: exp.Table) -> tuple[exp.Identifier, ...]:
    """The parts of a table's name; () for a function, a variable or a list of values."""
    last = node.this
    tail = list(last.flatten()) if isinstance(last, exp.Dot) else [last]
    parts = [node.args.get("catalog"), node.args.get("db"), *tail]
    names = [part for part in parts if isinstance(part, exp.Identifier)]
    others = [part for part in parts if part and not isinstance(part, exp.Identifier)]
    return () if others or node.this is None else tuple(names)


def _target(node: exp.Table) -> exp.Expr | None:
    """The statement or clause the table stands under, without the list of columns between."""
    parent = node.parent
    return parent.parent if isinstance(parent, exp.Schema) else parent


def _is_relation(node: exp.Table) -> bool:
    """Whether the name is a relation's: not one of a schema, a function or a temporary table."""
    parent = _target(node)
    if isinstance(parent, (exp.Lock, exp.UserDefinedFunction, exp.Grant, exp.Use)):
        return False
    if isinstance(parent, (exp.Create, exp.Drop)) and node.find_ancestor(exp.Query) is None:
        if isinstance(parent, exp.Create) and _is_temporary(parent):
            return False
        return str(parent.args.get("kind") or "").upper() in _RELATION_KINDS
    return True


def _is_written(node: exp.Table) -> bool:
    parent = _target(node)
    if isinstance(parent, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return parent.this is node or parent.this is node.parent
    if isinstance(parent, exp.Copy):
        return bool(parent.args.get("kind"))
    kinds = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Into, exp.Index, exp.Comment)
    return isinstance(parent, kinds)


def _has_room(node: exp.Table, dialect: str) -> bool:
    if any(node.args.get(key) for key in ("when", "version", "changes", "only")):
        return False  # the alias would have to follow the clause
    parent = _target(node)
    if isinstance(parent, exp.Insert):
        return dialect in {"duckdb", "postgres"}
    return isinstance(parent, _ROOM)


def _is_temporary(node: exp.Create) -> bool:
    properties = node.args.get("properties")
    return properties is not None and any(
        isinstance(item, exp.TemporaryProperty) for item in properties.expressions
    )


def _names_no_relation(node: exp.Expr, child: exp.Expr) -> bool:
    """The parts of a statement in which a Table node is the name of something else."""
    return isinstance(node, exp.UserDefinedFunction) and child.arg_key == "this"


def _is_array_path(table: FoundTable) -> bool:
    return len(table.parts) > 1 and any(table.parts[0] in s.names for s in table.scope.chain())


def _same_table(table: tuple[str, ...], prefix: tuple[str, ...], names: set[str]) -> bool:
    """Whether `prefix` may name the table: one is the end of the other.

    For a table written bare, `a.b.c` may also be the field b of its column or table `a`: then a
    FROM item of that name decides against it.
    """
    if len(table) == 1 and prefix[0] in names:
        return False
    length = min(len(table), len(prefix))
    return table[-length:] == prefix[-length:]


def _clashing(tables: Sequence[FoundTable]) -> Iterator[FoundTable]:
    by_name: dict[str, list[FoundTable]] = {}
    for table in tables:
        if not table.aliased:
            by_name.setdefault(table.parts[-1], []).append(table)
    for same in by_name.values():
        if len({table.parts for table in same}) > 1:
            yield from same
