"""The items of a FROM list (tables, subqueries, functions, joins, pivots) as sets of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from dagster_models.core.traced import Origin, Trace, Upstream
from dagster_models.sql.dialects.type_words import settled, unified
from dagster_models.sql.lineage.column_sets import (
    ColumnScope,
    ColumnSet,
    Item,
    Value,
    column_of,
    columns_of,
    digest_of,
    together,
)
from dagster_models.sql.lineage.expression_types import Types
from dagster_models.sql.lineage.expressions import Expressions, Query
from dagster_models.sql.nodes import identifiers_of

#: Clauses behind parentheses or a UNION that decide which rows there are.
_BEHIND = ("where", "order", "limit", "offset", "fetch", "sample", "qualify", "group", "having")
#: The column that WITH ORDINALITY adds.
_NUMBER = "ordinality"
#: Joins whose right side only selects rows.
_CHOOSING = {"SEMI", "ANTI"}

Star = Callable[[exp.Expr, ColumnScope, Sequence[Item], bool], ColumnSet]


class FromItems:
    """Reads FROM items into a scope. ``query`` and ``star`` are those of the tracer around it."""

    def __init__(
        self,
        upstream: Mapping[str, Upstream],
        expressions: Expressions,
        types: Types,
        query: Query,
        star: Star,
    ) -> None:
        self.upstream, self.expressions, self.types = upstream, expressions, types
        self.query, self.star, self.dialect = query, star, expressions.dialect
        self.name, self.output = expressions.folded, expressions.output

    def values(self, node: exp.Values, scope: ColumnScope) -> ColumnSet:
        rows = [
            list(row.expressions) if isinstance(row, exp.Tuple) else [row]
            for row in node.expressions
        ]
        read = [[self.expressions.read(cell, scope) for cell in row] for row in rows]
        columns = []
        for index in range(min(map(len, rows), default=0)):
            cells = [row[index] for row in read]
            type_ = settled(self.types.choice([row[index] for row in rows]))
            name = self.dialect.values_column.format(index=index, number=index + 1)
            columns.append((name, together(cells, type_, "values")))
        return ColumnSet(tuple(columns), rows=digest_of("values", str(len(rows))))

    def add(self, node: exp.Expr, scope: ColumnScope, rows: list[str]) -> list[Item]:
        """Put an item, and what is joined to it, into the scope. Return the items added."""
        before = len(scope.items)
        if isinstance(node, exp.Subquery) and _is_group(node):
            self.add(node.this, scope, rows)  # `a join (b join c on ...)` shows b and c
        else:
            item = self.from_item(node, scope)
            scope.items.append(item)
            rows.append(item.column_set.rows)
            scope.deciding |= item.column_set.row_sources
        for join in node.args.get("joins") or ():
            self.join(join, scope, rows)
        return scope.items[before:]

    def join(self, join: exp.Join, scope: ColumnScope, rows: list[str]) -> None:
        words = ("method", "side", "kind", "on", "using")
        if not any(join.args.get(key) for key in words):  # a comma
            scope.since = len(scope.items)
        everything, before = len(scope.items), scope.items[scope.since :]
        added = self.add(join.this, scope, rows)
        kind = [str(join.args.get(key) or "") for key in ("method", "side", "kind", "global")]
        rows += kind
        names = [column for column in join.args.get("using") or () if column.name]
        if "NATURAL" in kind:
            right = {name.lower() for item in added for name, _ in item.column_set.columns}
            left = [name for item in before for name, _ in item.column_set.columns]
            shared = [name for name in dict.fromkeys(left) if name.lower() in right]
            names = [exp.to_identifier(name, quoted=True) for name in shared]
        for name in names:
            self.merge(name, before, added, scope, kind[1])
        rows += (name.name.lower() for name in names)
        if join.args.get("on") is not None:
            condition = self.expressions.read(join.args["on"], scope)
            scope.deciding |= condition.sources
            rows.append(condition.digest)
        if _CHOOSING.intersection(word.upper() for word in kind):
            del scope.items[everything:]
        elif "NATURAL" in kind and not all(item.column_set.closed for item in scope.items):
            column_set = added[-1].column_set
            added[-1].column_set = replace(
                column_set, closed=False, reason="columns of a NATURAL JOIN"
            )

    def merge(
        self, name: exp.Expr, before: list[Item], added: list[Item], scope: ColumnScope, side: str
    ) -> None:
        """A column of USING: ``*`` shows it once, and it needs no prefix."""
        column = name.this if isinstance(name, exp.Column) else name
        if not isinstance(column, exp.Identifier):
            return
        lower, silent = column.name.lower(), "start" not in column.meta
        left = self.expressions.bare(column, _side(before), silent)
        right = self.expressions.bare(column, _side(added), silent)
        left, right = left or Value(), right or Value()
        scope.deciding |= left.sources | right.sources
        if side.upper() == "RIGHT":
            merged = right.typed(right.type if right.type == left.type else "")
        elif side.upper() == "FULL":
            merged = together((left, right), unified((left.type, right.type)), "using")
        elif self.dialect.using_type_is_left:
            merged = left
        else:
            merged = left.typed(left.type if left.type == right.type else "")
        scope.merged[lower] = merged
        owner = next((item for item in before if lower in item.column_set.by_name), None)
        if owner is not None:
            owner.shown[lower] = merged
        for item in added:
            item.hidden.add(lower)

    def from_item(self, node: exp.Expr, scope: ColumnScope) -> Item:
        alias = node.args.get("alias")
        name = self.name(alias.this) if isinstance(alias, exp.TableAlias) else ""
        names: list[str] = []
        if isinstance(alias, exp.TableAlias):
            names = [self.output(column) for column in alias.args.get("columns") or ()]
        column_set, own = self.item_columns(node, scope, names)
        home = identifiers_of(node)[:-1] if isinstance(node, exp.Table) and not name else ()
        if names and not _is_function(node):
            column_set = column_set.renamed(names)
        for pivot in node.args.get("pivots") or ():
            column_set = self.pivoted(
                pivot, column_set, ColumnScope(scope.outer, scope.ctes, [Item(own, column_set)])
            )
            of = pivot.args.get("alias")
            if isinstance(of, exp.TableAlias):
                name = self.name(of.this)
                given = [self.output(column) for column in of.args.get("columns") or ()]
                if given and pivot.args.get("unpivot"):
                    # Behind a list that is too short, DuckDB 1.5 takes names from elsewhere.
                    given += [""] * (len(column_set.columns) - len(given))
                column_set = column_set.renamed(given)
        if self.dialect.numbers_columns:
            column_set = column_set.numbered()
        return Item(name or own, column_set, tuple(map(self.name, home)))

    def item_columns(
        self, node: exp.Expr, scope: ColumnScope, names: Sequence[str]
    ) -> tuple[ColumnSet, str]:
        """The columns of a FROM item before its alias, and its name without one."""
        if isinstance(node, exp.Table):
            return self.table(node, scope, names)
        if isinstance(node, exp.Subquery):
            whole = isinstance(node.this, (exp.Query, exp.Pivot))
            if whole and not isinstance(node.this, exp.Subquery):
                # DuckDB lets a subquery see the items before it without the word LATERAL.
                inner_set = self.query(node.this, scope, scope.ctes)
                return self.limited(node, inner_set, scope, scope.ctes), ""
            inner, rows = ColumnScope(scope.outer, scope.ctes), list[str]()
            self.add(node.this, inner, rows)
            column_set = self.star(exp.Star(), inner, inner.items, True)
            deciding = frozenset(inner.deciding)
            column_set = replace(column_set, rows=digest_of(*rows), row_sources=deciding)
            return self.limited(node, column_set, scope, scope.ctes), ""
        if isinstance(node, exp.Values):
            return self.values(node, scope), ""
        if isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            return self.query(node.this, scope, scope.ctes), ""
        inner_node = node.this if isinstance(node, exp.Lateral) else node
        value = self.arguments(inner_node, scope)
        return self.function(inner_node, value, names, bool(node.args.get("ordinality"))), ""

    def limited(
        self,
        node: exp.Expr,
        column_set: ColumnSet,
        outer: ColumnScope | None,
        ctes: Mapping[str, ColumnSet],
    ) -> ColumnSet:
        """The same with the clauses behind it: `(...) order by x limit 1`."""
        clauses = {key: clause for key in _BEHIND if (clause := node.args.get(key))}
        if not clauses:
            return column_set
        scope = ColumnScope(outer, dict(ctes), [Item("", column_set)])
        since = len(self.expressions.problems)
        rows = [column_set.rows]
        for key, clause in clauses.items():
            rows += (key, self.expressions.clause(clause, scope))
        del self.expressions.problems[since:]  # ORDER BY may also name columns of the halves
        deciding = column_set.row_sources | scope.deciding
        return replace(column_set, rows=digest_of(*rows), row_sources=frozenset(deciding))

    def arguments(self, node: exp.Expr | None, scope: ColumnScope) -> Value:
        """What a table function gets. Its arguments may be names of tables and parameters, so that
        an unknown column is not a problem."""
        since = len(self.expressions.problems)
        value = self.expressions.read(node, scope) if node is not None else Value()
        if not isinstance(node, (exp.Unnest, exp.Explode)):
            del self.expressions.problems[since:]
        return value

    def function(
        self, node: exp.Expr, value: Value, names: Sequence[str], numbered: bool = False
    ) -> ColumnSet:
        """A table function, each of whose columns may be made of all its arguments. ``numbered``:
        WITH ORDINALITY adds a column."""
        if self.dialect.series_column and isinstance(node, exp.GenerateSeries):
            own = "range" if node.args.get("is_end_exclusive") else "generate_series"
            ends = {settled(self.types.of(node.args.get(key))) for key in ("start", "end")}
            type_ = "BIGINT" if ends <= {"INTEGER", "BIGINT"} else ""
            made = [(own, value.typed(type_))]
            if numbered:
                number = value._replace(type="BIGINT", digest=digest_of(value.digest, _NUMBER))
                made.append((_NUMBER, number))
            column_set = ColumnSet(tuple(made), rows=value.digest, row_sources=value.sources)
            return column_set.renamed(names[: len(made)])
        type_ = self.types.of(node) if isinstance(node, exp.Unnest) and len(names) == 1 else ""
        if isinstance(offset := node.args.get("offset"), exp.Identifier):
            names = [*names, self.output(offset)]
        columns = tuple(
            (name, value._replace(type=of, digest=digest_of(value.digest, name)))
            for name, of in zip(names, (type_, *[""] * len(names)), strict=False)
        )
        hidden = "columns of a table function" if value.sources and not names else ""
        return ColumnSet(columns, False, False, (), hidden, value.digest, value.sources)

    def table(
        self, node: exp.Table, scope: ColumnScope, given: Sequence[str] = ()
    ) -> tuple[ColumnSet, str]:
        identifiers = identifiers_of(node)
        if not identifiers:
            value = self.arguments(node.this, scope)
            name = node.this.name.lower() if node.this is not None else ""
            called = self.expressions.functions.get(name)
            if called is not None and isinstance(node.this, exp.Anonymous):
                return _returned(called, value).renamed(given), name
            numbered = bool(node.args.get("ordinality"))
            return self.function(node.this or node, value, given, numbered), name
        names = [self.expressions.table(part) for part in identifiers]
        own = self.name(identifiers[-1])
        if len(names) == 1 and own in scope.ctes:
            column_set = scope.ctes[own]
            self.expressions.problems += column_set.problems
            return column_set, own
        found = self.upstream.get(".".join(names))
        clauses = (node.args.get(key) for key in ("sample", "when", "version", "changes"))
        written = [str(clause) for clause in clauses if clause is not None]
        rows = digest_of("table", *(found.key if found else names), *written)
        if found is None:
            return ColumnSet(closed=False, certain=False, rows=rows), own
        if found.trace is not None:
            place = self.expressions.lines.place(identifiers[0].meta.get("start", 0))
            for what, _, _, read, keys in found.trace.spanning:
                self.expressions.spanning.append((what, *place, read, keys))
            return _in_place(found.trace, rows), own
        return columns_of(found.key, found.schema, rows), own

    def pivoted(self, pivot: exp.Pivot, column_set: ColumnSet, scope: ColumnScope) -> ColumnSet:
        """PIVOT and UNPIVOT keep the columns that they neither spread nor gather."""
        digest = digest_of(column_set.rows, pivot.sql())
        deciding = column_set.row_sources | column_set.every_source
        if not column_set.knows_all:
            reason = column_set.reason or "not all columns of a PIVOT are known"
            return ColumnSet((), False, False, (), reason, digest, deciding)
        if pivot.args.get("unpivot"):
            return self.unpivoted(pivot, column_set, scope, digest)
        read = [self.arguments(item, scope) for item in pivot.expressions]
        used = {column.name.lower() for column in pivot.find_all(exp.Column)}
        kept = [(name, value) for name, value in column_set.columns if name.lower() not in used]
        fields = list(pivot.args.get("fields") or ())
        keys = [self.arguments(field, scope) for field in fields]
        names = [column.name for column in pivot.args.get("columns") or ()]
        if not names or pivot.args.get("group") is not None or len(read) != 1:
            return _unfollowed(kept, "the columns that a PIVOT makes", digest, deciding)
        type_ = self.types.of(pivot.expressions[0])
        made = [(name, together((*read, *keys), type_, name)) for name in names]
        groups = ColumnSet((*kept, *(("", key) for key in keys))).every_source
        deciding = column_set.row_sources | groups
        return ColumnSet((*kept, *made), True, column_set.certain, (), "", digest, deciding)

    def unpivoted(
        self, pivot: exp.Pivot, column_set: ColumnSet, scope: ColumnScope, digest: str
    ) -> ColumnSet:
        fields = list(pivot.args.get("fields") or ())
        if len(fields) != 1 or len(pivot.expressions) != 1 or not isinstance(fields[0], exp.In):
            deciding = column_set.row_sources | column_set.every_source
            return _unfollowed((), "the columns that an UNPIVOT makes", digest, deciding)
        gathered = [column.name for column in fields[0].expressions]
        return self.gathered(
            column_set, gathered, fields[0].this.name, pivot.expressions[0].name, digest
        )

    def gathered(
        self, column_set: ColumnSet, names: Sequence[str], label: str, value: str, digest: str
    ) -> ColumnSet:
        """UNPIVOT: the columns *names* become rows of their name (*label*) and their *value*."""
        wanted = dict.fromkeys(name.lower() for name in names)  # in one order in every process
        values = [found[0] for name in wanted if (found := column_set.by_name.get(name))]
        every = column_set.row_sources | column_set.every_source
        if len(values) != len(wanted):
            return _unfollowed((), "the columns that an UNPIVOT makes", digest, every)
        kept = [column for column in column_set.columns if column[0].lower() not in wanted]
        made = (
            (label, Value(self.dialect.unpivot_type, digest=digest_of("unpivot", label))),
            (value, together(values, unified(value.type for value in values), "unpivot")),
        )
        # A value that is NULL makes no row.
        deciding = column_set.row_sources.union(*(value.sources for value in values))
        return ColumnSet((*kept, *made), True, column_set.certain, (), "", digest, deciding)

    def pivot_statement(self, node: exp.Pivot, scope: ColumnScope) -> ColumnSet:
        """DuckDB's ``PIVOT t ON ...``, whose columns are values, and ``UNPIVOT t ON ...``."""
        item = self.from_item(node.this, scope)
        digest = digest_of(item.column_set.rows, node.sql())
        into = node.args.get("into")
        plain = all(isinstance(column, exp.Column) for column in node.expressions)
        if not node.args.get("unpivot") or not plain or not item.column_set.knows_all:
            deciding = item.column_set.row_sources | item.column_set.every_source
            return _unfollowed((), "the columns that a PIVOT makes", digest, deciding)
        label, value = "name", "value"
        if isinstance(into, exp.UnpivotColumns) and len(into.expressions) == 1:
            label, value = into.this.name, into.expressions[0].name
        names = [column.name for column in node.expressions]
        return self.gathered(item.column_set, names, label, value, digest)


def _side(items: list[Item]) -> ColumnScope:
    """One side of a join by itself, with the columns that USING has merged in it before."""
    merged = {name: value for item in items for name, value in item.shown.items()}
    return ColumnScope(None, {}, items, merged=merged)


def _is_function(node: exp.Expr) -> bool:
    """Whether its alias names the columns that it makes, as ``function()`` has done already."""
    lateral = isinstance(node, exp.Lateral) and not isinstance(node.this, exp.Subquery)
    return lateral or isinstance(node, exp.Unnest)


def _is_group(node: exp.Subquery) -> bool:
    """Whether the parentheses hold a join and have no name of their own."""
    inner = node.this
    holds = isinstance(inner, (exp.Table, exp.Subquery)) and not node.args.get("pivots")
    if not holds or node.alias:
        return False
    nested = isinstance(inner, exp.Subquery) and _is_group(inner)  # `((a join b))`
    return nested or bool(inner.args.get("joins"))


def _returned(called: Upstream, arguments: Value) -> ColumnSet:
    """The columns of the table that a function of the project returns."""
    columns = tuple(
        (name, column._replace(sources=column.sources | arguments.sources))
        for name, column in (
            (name, column_of(called.key, name, type_)) for name, type_ in called.schema.columns
        )
    )
    schema, rows = called.schema, digest_of("call", *called.key, arguments.digest)
    return ColumnSet(
        columns, schema.closed, schema.certain, rows=rows, row_sources=arguments.sources
    )


def _in_place(found: Trace, rows: str) -> ColumnSet:
    """The columns of a query that stands in place of a table's name: what they are made of, and not
    the name."""
    columns = tuple(
        (name, Value(type_, frozenset(sources), digest, reason, frozenset(kept)))
        for name, type_, sources, reason, digest, kept in found.columns
    )
    return ColumnSet(
        columns,
        found.closed,
        found.certain,
        reason=found.reason,
        rows=digest_of("query", found.rows or rows),
        row_sources=frozenset(found.row_sources),
    )


def _unfollowed(
    kept: Sequence[tuple[str, Value]], what: str, digest: str, deciding: frozenset[Origin]
) -> ColumnSet:
    return ColumnSet(tuple(kept), False, False, (), f"{what} are not traced", digest, deciding)
