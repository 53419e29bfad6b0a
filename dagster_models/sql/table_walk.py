"""Which tables a statement reads and writes, by a walk over its scopes.

sqlglot's own ``traverse_scope`` misses PIVOT and SUMMARIZE statements and the case folding of CTEs,
and "all tables minus all CTE names" is wrong for ``with orders as (select * from orders)``. So the
scopes are walked here, with an explicit stack instead of recursion: a real file has an OR chain of
593 terms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.nodes import (
    ctes_of,
    has_room,
    identifiers_of,
    is_more_than_parentheses,
    is_relation,
    is_temporary,
    is_written,
    recurses,
    without_relations,
)
from dagster_models.sql.scopes import (
    FoundQualifier,
    FoundTable,
    TableScope,
    clashing,
    is_array_path,
    is_captured,
    may_be_table,
    qualifier,
    table_called,
)
from dagster_models.sql.suspects import REGCLASS, Given, given_to, text_cast_to_table

#: Each of these has a FROM list (or a target) of its own, in which names are looked up.
_OPENS = (exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Pivot)
#: These are nearly all arguments of a tree, and no table is in them. (A hint only names aliases.)
_LEAVES = frozenset({exp.Identifier, exp.Literal, exp.Hint, str, bool, type(None)})
#: Statements and clauses that change a relation. A query has none of them in it.
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into)
#: The schema in which DuckDB shows all rows that a recursive CTE has found so far.
_RECURRING = "recurring"


@dataclass(slots=True)
class FoundNames:
    """What a statement says.

    ``clashing``: tables of one FROM list that differ only in their schema, so their bare names
    would be ambiguous or refer to another table. ``temporary``: tables that it creates for the
    session. ``opaque``: sqlglot does not understand the statement, so it may use tables that are
    not found. ``writes``: the kinds of statements and clauses in it that write. ``suspects``:
    functions in FROM, and the names that they are given. ``queries``: functions that are given the
    text of a query. ``calls``: where the names of functions stand that sqlglot does not know.
    """

    tables: list[FoundTable] = field(default_factory=list)
    qualifiers: list[FoundQualifier] = field(default_factory=list)
    clashing: set[FoundTable] = field(default_factory=set)
    temporary: list[str] = field(default_factory=list)
    opaque: bool = False
    writes: list[str] = field(default_factory=list)
    suspects: dict[tuple[str, tuple[str, ...]], None] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)


def find_names(
    statement: exp.Expr,
    dialect: Dialect,
    is_string: Callable[[exp.Identifier], bool],
    temporary: Sequence[str] = (),
    arguments: Collection[int] = (),
) -> FoundNames:
    """Return what a statement says, by a walk over its tree.

    Args:
        is_string: whether an identifier is written in single quotes.
        temporary: names of tables that earlier statements of the text created.
        arguments: offsets of names that look like columns but are tables (``Prepared.tables``).
    """
    walk = _StatementWalk(dialect, is_string, arguments)
    walk.stack.append((statement, TableScope(None, frozenset(temporary))))
    while walk.stack:
        walk.visit(*walk.stack.pop())
    return walk.result()


class _StatementWalk:
    def __init__(
        self,
        dialect: Dialect,
        is_string: Callable[[exp.Identifier], bool],
        arguments: Collection[int],
    ) -> None:
        self.dialect, self.is_string, self.arguments = dialect, is_string, arguments
        self.stack: list[tuple[exp.Expr, TableScope]] = []
        self.found = FoundNames()
        self.columns: list[tuple[tuple[exp.Identifier, ...], TableScope]] = []
        self.bare: list[tuple[exp.Identifier, TableScope]] = []  #: the `a` of columns `a.b`
        self.lists: list[FoundTable] = []  #: after IN in ClickHouse: tables, columns or aliases
        self.scopes: list[TableScope] = []
        self.functions: list[tuple[Given, TableScope]] = []  #: those in FROM
        self.unnested: list[FoundTable] = []  #: arrays, or tables of a schema of that name

    def fold(self, identifier: exp.Identifier) -> str:
        return self.dialect.fold(identifier.name, bool(identifier.args.get("quoted")))

    def alias(self, identifier: exp.Identifier) -> str:
        return self.dialect.alias(self.fold(identifier))

    def table_of(
        self,
        identifiers: tuple[exp.Identifier, ...],
        parts: tuple[str, ...],
        scope: TableScope,
        *,
        aliased: bool = True,
        written: bool = False,
        certain: bool = True,
    ) -> FoundTable:
        local = tuple(self.dialect.alias(part) for part in parts)
        return FoundTable(identifiers, parts, local, aliased, written, scope, certain)

    def visit(self, node: exp.Expr, scope: TableScope) -> None:
        args = node.args
        alias = args.get("alias")
        if alias is not None:
            self.given(alias, scope)
        look, opens, without = _KINDS.get(type(node)) or _kind(type(node))
        if look is not None:
            look(self, node, scope)
        opened = opens or args.get("with_") is not None
        inner = self.open(node, opens, scope) if opened else scope
        for key, value in args.items():  # as iter_expressions, in two thirds of the time
            children = () if key in without else value if type(value) is list else (value,)
            for child in children:
                of = type(child)
                if of in _LEAVES or (of is exp.Column and self.plain_column(child, inner)):
                    continue
                if isinstance(child, exp.Expr):
                    self.stack.append((child, inner))

    def given(self, alias: exp.Expr, scope: TableScope) -> None:
        """Note the alias that a FROM item or an expression is given."""
        if isinstance(alias, exp.TableAlias) and isinstance(alias.this, exp.Identifier):
            name = self.alias(alias.this)
            scope.names.add(name)
            scope.given.add(name)
        elif self.dialect.in_reads_tables and isinstance(alias, exp.Identifier):
            scope.aliases.add(self.alias(alias))

    def open(self, node: exp.Expr, opens: bool, scope: TableScope) -> TableScope:
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
        for cte in ctes_of(with_):
            name = self.alias(cte.args["alias"].this)
            if cte.args.get("scalar"):  # ClickHouse: `with 5 as x`
                constants.add(name)
                self.stack.append((cte.this, TableScope(scope, ctes)))
            else:
                named.append((cte.this, name))
        every = ctes.union(name for _, name in named)
        if recursive and self.dialect.recursive_ctes_in_any_order:
            ctes = every
        for body, name in named:
            seen = (every - {name}) | (ctes & {name}) if self.dialect.ctes_in_any_order else ctes
            self.cte(body, name, TableScope(scope, seen), recursive)
            ctes = ctes | {name}
        inner = TableScope(scope, every)
        inner.aliases |= constants
        self.scopes.append(inner)
        return inner

    def cte(self, body: exp.Expr, name: str, scope: TableScope, recursive: bool) -> None:
        itself = TableScope(scope.parent, scope.ctes | {name})
        while isinstance(body, (exp.Subquery, exp.Paren)) and not is_more_than_parentheses(body):
            body = body.this
        if not recursive:
            self.stack.append((body, scope))
        elif not self.dialect.second_half_recurs:
            self.stack.append((body, itself))
        elif recurses(body):
            # DuckDB (measured): the first half still reads the table of that name, and only the
            # second half reads the CTE. Without a UNION there is no recursion at all. (In a dialect
            # that does not need the word RECURSIVE, the name can only mean the CTE.) In the second
            # half, `recurring.name` is all rows found so far, also with a catalog, and even if
            # there is a table of that name.
            itself.ctes |= {f"{_RECURRING}.{name}"}
            for child in body.iter_expressions():
                self.stack.append((child, scope if child.arg_key == "this" else itself))
        else:
            self.stack.append((body, scope))

    def table(self, node: exp.Table, scope: TableScope) -> None:
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
        written = is_written(node)
        self.add(self.table_of(names, parts, scope, aliased=not free, written=written))

    def is_elsewhere(self, last: exp.Identifier, parts: tuple[str, ...], scope: TableScope) -> bool:
        """Whether the name is no relation that a project knows: a CTE, a temporary or system table,
        or a file."""
        if len(parts) == 1 and self.dialect.alias(parts[0]) in scope.ctes:
            return True
        if parts[-2:-1] == (_RECURRING,) and ".".join(parts[-2:]) in scope.ctes:
            return True
        if last.args.get("temporary") or last.args.get("global_"):  # T-SQL: #t and ##t
            return True
        quoted = bool(last.args.get("quoted"))
        is_file = self.dialect.is_file(parts, self.is_string(last), quoted)
        return is_file or self.dialect.is_system(parts)

    def add(self, table: FoundTable) -> None:
        self.found.tables.append(table)
        table.scope.tables.append(table)

    def plain_column(self, node: exp.Expr, scope: TableScope) -> bool:
        """Whether the column is just `a` or `t.a`, as nearly all are. If so, its prefix is noted,
        and the node need not be visited."""
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

    def column(self, node: exp.Column, scope: TableScope) -> None:
        if self.arguments and node.parts[0].meta.get("start") in self.arguments:
            self.argument(node, scope)
        elif node.args.get("db") is not None:
            parts = (node.args.get("catalog"), node.args["db"], node.args["table"])
            self.columns.append((tuple(p for p in parts if isinstance(p, exp.Identifier)), scope))
        elif isinstance(owner := node.args.get("table"), exp.Identifier):
            self.bare.append((owner, scope))

    def argument(
        self, node: exp.Expr, scope: TableScope, certain: bool = True
    ) -> FoundTable | None:
        """The table that is named by what looks like a column."""
        names = node.parts if isinstance(node, exp.Column) else ()
        identifiers = tuple(part for part in names if isinstance(part, exp.Identifier))
        parts = tuple(self.fold(identifier) for identifier in identifiers)
        if not parts or self.dialect.is_system(parts):
            return None
        if len(parts) == 1 and self.dialect.alias(parts[0]) in scope.ctes:
            return None
        table = self.table_of(identifiers, parts, scope, certain=certain)
        if certain:
            self.add(table)
        return table

    def function(self, node: exp.Anonymous, scope: TableScope) -> None:
        self.found.calls.append(node.meta.get("start", -1))
        starts = {item.parts[0].meta.get("start") for item in node.find_all(exp.Column)}
        known = not starts.isdisjoint(self.arguments)
        if not known and node.name.lower() not in self.dialect.remote_functions:
            self.functions.append((given_to(node), scope))

    def suspect(self, given: Given, scope: TableScope) -> None:
        """Note the names that a function is given and that no FROM item explains."""
        if given.query:
            self.found.queries.append(given.function)
        around = {name for one in scope.chain() for name in one.names}
        for parts in given.names(lambda c: self.dialect.alias(self.dialect.fold(c)) in around):
            self.found.suspects[given.function, parts] = None

    def cast(self, node: exp.Cast, scope: TableScope) -> None:
        for parts in text_cast_to_table(node):
            self.found.suspects[REGCLASS, parts] = None

    def inside(self, node: exp.In, scope: TableScope) -> None:
        """`x in db.t`: see ``Dialect.in_reads_tables``."""
        if not self.dialect.in_reads_tables:
            return
        listed = node.args.get("field")
        table = self.argument(listed, scope, certain=False) if listed is not None else None
        if table is not None:
            self.lists.append(table)

    def unnest(self, node: exp.Unnest, scope: TableScope) -> None:
        """`from t.t, t.items`: sqlglot makes an Unnest of what may be a table in Redshift."""
        column = node.expressions[0] if len(node.expressions) == 1 else None
        joined = isinstance(node.parent, exp.Join) and not self.dialect.arrays_before_tables
        if not joined or not isinstance(column, exp.Column):
            return
        identifiers = tuple(part for part in column.parts if isinstance(part, exp.Identifier))
        parts = tuple(map(self.fold, identifiers))
        if len(parts) > 1:
            aliased = bool(node.args.get("alias"))
            self.unnested.append(self.table_of(identifiers, parts, scope, aliased=aliased))

    def command(self, node: exp.Command, scope: TableScope) -> None:
        self.found.opaque = True

    def write(self, node: exp.Expr, scope: TableScope) -> None:
        self.found.writes.append(type(node).__name__.upper())

    def create(self, node: exp.Create, scope: TableScope) -> None:
        if is_temporary(node):
            table = node.this.this if isinstance(node.this, exp.Schema) else node.this
            if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
                self.found.temporary.append(self.fold(table.this))

    def result(self) -> FoundNames:
        found, every = self.found, [*self.found.tables]
        if self.dialect.array_paths:
            paths = [table for table in found.tables if is_array_path(table)]
            found.tables = [table for table in found.tables if table not in paths]
            if not self.dialect.arrays_before_tables:
                paths = [table for table in (*paths, *self.unnested) if may_be_table(table)]
                found.tables += [replace(table, certain=False) for table in paths]
        for table in self.lists:
            if not any(table.parts[0] in (s.names | s.aliases) for s in table.scope.chain()):
                self.add(table)
        for given, scope in self.functions:
            self.suspect(given, scope)
        found.clashing.update(name for scope in self.scopes for name in clashing(scope))
        for identifiers, scope in self.columns:
            parts = tuple(self.alias(identifier) for identifier in identifiers)
            if (named := qualifier(identifiers, parts, scope)) is not None:
                found.qualifiers.append(named)
                if is_captured(named.table, scope):
                    found.clashing.add(named.table)
        if found.clashing:  # their aliases are their whole names, not their bare ones
            for identifier, scope in self.bare:
                name = self.alias(identifier)
                if (owner := table_called(name, scope)) is not None and owner in found.clashing:
                    found.qualifiers.append(FoundQualifier((identifier,), (name,), owner))
        for table in (*every, *found.tables):  # a cycle, which only the collector would free
            table.scope.tables.clear()
        return found


_Look: TypeAlias = Callable[[_StatementWalk, Any, TableScope], None]
_LOOKS: tuple[tuple[type[exp.Expr], _Look], ...] = (
    (exp.Table, _StatementWalk.table),
    (exp.Column, _StatementWalk.column),
    (exp.Cast, _StatementWalk.cast),
    (exp.In, _StatementWalk.inside),
    (exp.Unnest, _StatementWalk.unnest),
    (exp.Command, _StatementWalk.command),
    (exp.Create, _StatementWalk.create),
    (exp.Anonymous, _StatementWalk.function),
    *((kind, _StatementWalk.write) for kind in _WRITES),
)


class _Kind(NamedTuple):
    """What the walk does with a class of nodes. ``without``: the children that it skips, because no
    relations are in them or something else looks at them."""

    look: _Look | None
    opens: bool
    without: frozenset[str]


#: A cache: a query has hundreds of nodes, but of only some dozens of classes.
_KINDS: dict[type[exp.Expr], _Kind] = {}


def _kind(of: type[exp.Expr]) -> _Kind:
    look = next((look for kind, look in _LOOKS if issubclass(of, kind)), None)
    without = without_relations(of) | {"with_"}
    _KINDS[of] = _Kind(look, issubclass(of, _OPENS), without)
    return _KINDS[of]
