"""Column lineage: a query and the schemas of what it reads -> the query's columns, and the upstream
columns that each is made of.

    trace(text, dialect, upstream) -> Trace

This is a walk over the scopes of sqlglot's tree (its own ``qualify`` and ``lineage`` take a hundred
times as long for a query of 30 columns, and rewrite the tree on the way). A column is made of all
columns in its expression: arguments, conditions of CASE and FILTER, windows, and what subqueries in
it select. Joins and filters decide which rows there are, so they are in ``Trace.rows``. What cannot
be traced is left out, with a reason, and nothing here makes a load fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from dagster_models.core.traced import Name, Trace, TracedColumn, Upstream
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.type_words import settled, unified
from dagster_models.sql.lineage.column_sets import (
    ColumnScope,
    ColumnSet,
    Value,
    digest_of,
    either,
    in_order,
    searched,
)
from dagster_models.sql.lineage.expression_types import Types
from dagster_models.sql.lineage.expressions import Expressions
from dagster_models.sql.lineage.from_items import FromItems
from dagster_models.sql.lineage.self_joins import self_joins
from dagster_models.sql.lineage.stars import Stars, pattern_of
from dagster_models.sql.nodes import unlink
from dagster_models.sql.tokens import TokenizedText

#: Clauses of a SELECT that ``select`` reads by itself; ``clause`` reads all others.
_OWN = {"with_", "from_", "joins", "expressions", "laterals", "hint", "kind", "into"}
#: At most this many rounds for a recursive CTE: one that swaps its columns needs one for each.
_ROUNDS = 4


def trace(
    text: str,
    dialect: str,
    upstream: Mapping[str, Upstream],
    source: TokenizedText | None = None,
) -> Trace:
    """Trace the columns of *text*, a single query.

    Never raises: no code knows all of SQL, and a query that the warehouse accepts must not be
    refused because we cannot trace its columns. The result depends on the arguments alone.

    Args:
        upstream: maps a table's name, as in ``Reference.name``, to what it refers to. A name that
            is not in it is outside the project, and nothing is known about it.
        source: the text, if it is parsed already. Nobody can read its tree afterwards.
    """
    try:
        return followed(text, dialect, upstream, source)
    except SqlSyntaxError as error:
        return Trace(reason=error.what)
    except RecursionError:
        return Trace(reason="the query is nested too deeply")
    except Exception as error:
        return Trace(reason=f"its columns could not be traced ({type(error).__name__}: {error})")


def followed(
    text: str,
    dialect: str,
    upstream: Mapping[str, Upstream],
    source: TokenizedText | None = None,
) -> Trace:
    """Like ``trace``, but raises any error that the code does not expect."""
    source = source or TokenizedText(text, dialect)
    statements = source.statements()
    if len(statements) != 1:
        return Trace(reason="it is not one statement")
    tracer = _QueryTracer(upstream, source)
    column_set = tracer.query(statements[0], None, {})
    columns = tuple(
        TracedColumn(
            name,
            settled(value.type),
            in_order(value.sources),
            value.reason,
            value.digest,
            in_order(value.kept),
        )
        for name, value in column_set.numbered(source.dialect.columns_have_case).columns
    )
    reason = column_set.reason
    if not column_set.closed and not reason:
        names = " and ".join(dict.fromkeys(map(".".join, column_set.origins))) or "what it reads"
        reason = f"not all columns of {names} are known"
    problems = tracer.expressions.all_problems()
    unlink(statements)
    deciding = tuple(sorted(column_set.row_sources))
    spanning = tuple(sorted(set(tracer.expressions.spanning)))
    vars(tracer).clear()  # its parts refer to it: only the collector would free them otherwise
    return Trace(
        columns,
        column_set.closed,
        column_set.certain,
        reason,
        column_set.rows,
        problems,
        deciding,
        spanning,
    )


class _QueryTracer:
    def __init__(self, upstream: Mapping[str, Upstream], source: TokenizedText) -> None:
        self.dialect = dialect = source.dialect
        joined = source.prepared.joined
        self.expressions = Expressions(dialect, source.lines, self.query, joined)
        for name, found in upstream.items():
            if name.endswith("()"):
                self.expressions.functions[name[:-2].rpartition(".")[2]] = found
        self.types = Types(dialect, self.expressions.types)
        self.name, self.output = self.expressions.folded, self.expressions.output
        self.stars = Stars(self.expressions, self.types)
        self.items = FromItems(upstream, self.expressions, self.types, self.query, self.stars.star)

    # --- queries ----------------------------------------------------------------------------

    def query(
        self, node: exp.Expr, outer: ColumnScope | None, ctes: Mapping[str, ColumnSet]
    ) -> ColumnSet:
        """The columns of a query. ``ctes``: those that are visible around it."""
        if isinstance(node, exp.Subquery):
            inner = self.with_ctes(node, outer, ctes)
            if isinstance(node.this, exp.Query) and not node.args.get("pivots"):
                return self.items.limited(node, self.query(node.this, outer, inner), outer, inner)
            scope = ColumnScope(outer, inner)
            return self.items.from_item(node, scope).column_set
        if isinstance(node, exp.Select):
            return self.select(node, outer, self.with_ctes(node, outer, ctes))
        if isinstance(node, exp.SetOperation):
            return self.set_operation(node, outer, self.with_ctes(node, outer, ctes))
        if isinstance(node, exp.Values):
            return self.items.values(node, ColumnScope(outer, dict(ctes)))
        if isinstance(node, exp.Table):
            scope = ColumnScope(outer, self.with_ctes(node, outer, ctes))
            return self.items.from_item(node, scope).column_set
        if isinstance(node, exp.Pivot):
            known = self.with_ctes(node, outer, ctes)
            return self.items.pivot_statement(node, ColumnScope(outer, known))
        what = type(node).__name__.upper()
        return ColumnSet(closed=False, certain=False, reason=f"columns of {what} are not traced")

    def with_ctes(
        self, node: exp.Expr, outer: ColumnScope | None, ctes: Mapping[str, ColumnSet]
    ) -> dict[str, ColumnSet]:
        known = dict(ctes)
        with_ = node.args.get("with_")
        if with_ is None:
            return known
        recursive = bool(with_.args.get("recursive")) or self.dialect.always_recursive
        for cte in with_.expressions:
            alias = cte.args.get("alias")
            if not isinstance(alias, exp.TableAlias):
                continue
            name = self.name(alias.this)
            names = [self.output(column) for column in alias.args.get("columns") or ()]
            body = cte.this
            since = len(self.expressions.problems)
            if cte.args.get("scalar"):
                value = self.expressions.read(body, ColumnScope(outer, known))
                column_set = ColumnSet((("", value),))
            elif not isinstance(body, (exp.Query, exp.Values, exp.Table, exp.Pivot)):
                column_set = ColumnSet(closed=False, certain=False)
            elif recursive and isinstance(body, exp.SetOperation):
                column_set = self.recursive(body, name, names, outer, known)
            else:
                column_set = self.query(body, outer, known).renamed(names)
            if cte is with_.expressions[-1]:
                column_set = searched(column_set, with_, self.output)
            if self.dialect.numbers_columns:
                column_set = column_set.numbered()
            is_value = bool(cte.args.get("scalar")) or self.dialect.ctes_are_values
            problems = self.expressions.withhold(since)
            if (problems, is_value) != (column_set.problems, column_set.is_value):
                column_set = replace(column_set, problems=problems, is_value=is_value)
            known[name] = column_set
        return known

    def recursive(
        self,
        body: exp.SetOperation,
        name: str,
        names: Sequence[str],
        outer: ColumnScope | None,
        ctes: Mapping[str, ColumnSet],
    ) -> ColumnSet:
        around, distinct = self.with_ctes(body, outer, ctes), body.args.get("distinct")
        first = self.query(body.this, outer, around).renamed(names)
        column_set = first
        for _ in range(_ROUNDS):
            second = self.query(body.expression, outer, {**around, name: column_set})
            both = self.by_position(column_set, second)
            sources = [value.sources for _, value in column_set.columns]
            every = both.every_source if distinct else ()
            columns = tuple(
                (column, value.typed(settled(old.type)))
                for (column, value), (_, old) in zip(both.columns, first.columns, strict=False)
            )
            column_set = replace(
                both,
                columns=columns,
                rows=digest_of(f"recursive {distinct}", first.rows, second.rows),
                row_sources=first.row_sources | second.row_sources | {*every},
            )
            if [value.sources for _, value in column_set.columns] == sources:
                break
        return column_set

    def set_operation(
        self, node: exp.SetOperation, outer: ColumnScope | None, ctes: dict[str, ColumnSet]
    ) -> ColumnSet:
        # Hundreds of UNION ALL nest to the left, too deep for recursion: this is a loop.
        chain: list[exp.SetOperation] = [node]
        left: exp.Expr = node.this
        while isinstance(left, exp.SetOperation) and not left.args.get("with_"):
            chain.append(left)
            left = left.this
        column_set = self.query(left, outer, ctes)
        for operation in reversed(chain):
            right = self.query(operation.expression, outer, ctes)
            word = f"{type(operation).__name__} {operation.args.get('distinct')}"
            rows = digest_of(word, column_set.rows, right.rows)
            deciding = column_set.row_sources | right.row_sources
            if operation.args.get("distinct") or not isinstance(operation, exp.Union):
                deciding |= column_set.every_source | right.every_source
            if isinstance(operation, exp.Except):
                # The right half decides which rows there are; the values come from the left half.
                matched = self.by_position(column_set, right)
                kept = [
                    (name, value.typed(both.type))
                    for (name, value), (_, both) in zip(
                        column_set.columns, matched.columns, strict=False
                    )
                ]
                parts = [value.digest for _, value in right.columns]
                column_set = replace(column_set, columns=tuple(kept))
                rows = digest_of(rows, *parts)
            elif operation.args.get("by_name"):
                column_set = self.by_name(column_set, right)
            else:
                column_set = self.by_position(column_set, right)
            column_set = replace(column_set, rows=rows, row_sources=frozenset(deciding))
            column_set = self.items.limited(operation, column_set, outer, ctes)
        return column_set

    def by_position(self, left: ColumnSet, right: ColumnSet) -> ColumnSet:
        columns = []
        closed = left.closed and right.closed and len(left.columns) == len(right.columns)
        exact = left.closed and right.closed
        for (name, one), (_, two) in zip(left.columns, right.columns, strict=False):
            value = either(one, two, unified((one.type, two.type)))
            if not exact:
                reason = value.reason or "not all columns of a UNION are known"
                value = value._replace(reason=reason)
            columns.append((name, value))
        return ColumnSet(
            tuple(columns),
            closed,
            left.certain and right.certain,
            (*left.origins, *right.origins),
            left.reason or right.reason,
        )

    def by_name(self, left: ColumnSet, right: ColumnSet) -> ColumnSet:
        columns = dict(left.columns)
        names = {name.lower(): name for name in columns}
        for name, value in right.columns:
            known = names.setdefault(name.lower(), name)
            if known in columns:
                one = columns[known]
                type_ = unified((one.type, value.type))
                columns[known] = either(one, value, type_)
            else:
                columns[known] = value
        both = {name.lower() for name, _ in left.columns} & {n.lower() for n, _ in right.columns}
        for name, value in columns.items():
            if name.lower() not in both:  # it is NULL in the rows of the other half
                columns[name] = value._replace(kept=frozenset())
        return ColumnSet(
            tuple(columns.items()),
            left.closed and right.closed,
            left.certain and right.certain,
            (*left.origins, *right.origins),
            left.reason or right.reason,
        )

    # --- SELECT -----------------------------------------------------------------------------

    def select(
        self, node: exp.Select, outer: ColumnScope | None, ctes: dict[str, ColumnSet]
    ) -> ColumnSet:
        scope = ColumnScope(outer, ctes)
        rows: list[str] = []
        from_ = node.args.get("from_")
        if from_ is not None:
            self.items.add(from_.this, scope, rows)
        for lateral in node.args.get("laterals") or ():
            self.items.add(lateral, scope, rows)
        for join in node.args.get("joins") or ():
            self.items.join(join, scope, rows)
        for item in node.expressions:
            if isinstance(item, (exp.Alias, exp.Column)):
                scope.outputs.add(name := item.alias_or_name.lower())
                scope.later.update((name,) if isinstance(item, exp.Alias) else ())
        columns: list[tuple[str, Value]] = []
        closed = certain = True
        origins: list[Name] = []
        reason = ""
        for projection in node.expressions:
            if (plain := self.plain_column(projection, scope)) is not None:
                columns.append(plain)
                if isinstance(projection, exp.Alias):
                    scope.aliases.setdefault(plain[0].lower(), plain[1])
                continue
            part = self.projection(projection, scope)
            columns += part.columns
            closed, certain = closed and part.closed, certain and part.certain
            origins += part.origins
            reason = reason or part.reason
            alias = projection.args.get("alias") if isinstance(projection, exp.Alias) else None
            if alias is not None:
                for name, value in part.columns:
                    scope.aliases.setdefault(name.lower(), value)
        scope.outputs |= {name.lower() for name, _ in columns}
        for name, value in columns:  # `select count(*) ... order by count`
            if name:
                scope.aliases.setdefault(name.lower(), value)
        for key, clause in node.args.items():
            if key not in _OWN:
                rows += (key, self.expressions.clause(clause, scope))
        self.expressions.note_spanning(node, scope)
        self.expressions.spanning += self_joins(node, scope, self.expressions)
        found = ColumnSet(tuple(columns), closed, certain, tuple(origins), reason)
        if node.args.get("distinct") or node.args.get("group"):
            scope.deciding |= found.every_source
        return replace(found, rows=digest_of(*rows), row_sources=frozenset(scope.deciding))

    def plain_column(self, node: exp.Expr, scope: ColumnScope) -> tuple[str, Value] | None:
        """What ``projection`` returns of a column, which is what most of a SELECT is, perhaps with
        an alias; None of anything else."""
        inner = node.this if isinstance(node, exp.Alias) else node
        if not isinstance(inner, exp.Column) or not isinstance(inner.this, exp.Identifier):
            return None
        value = self.expressions.noted(inner, scope)
        name = self.implied_name(inner, scope) if node is inner else self.output(node.args["alias"])
        return name, value

    def projection(self, node: exp.Expr, scope: ColumnScope) -> ColumnSet:
        """The columns that one expression of a SELECT makes."""
        inner = node.this if isinstance(node, exp.Alias) else node
        if (pattern := pattern_of(inner)) is not None:
            return self.stars.filtered(pattern, node, scope)
        if isinstance(inner, exp.Star):
            return self.stars.star(inner, scope, scope.items, merge=True)
        if isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star):
            return self.stars.qualified_star(inner, scope)
        if isinstance(inner, exp.Columns) and not isinstance(node, exp.Alias):
            return self.stars.matching(inner, scope)
        if isinstance(inner, exp.Dot) and isinstance(inner.expression, exp.Star):
            return self.stars.of_value(inner, scope)  # `(f(x)).*`
        self.expressions.begin()
        value = self.expressions.read(inner, scope)
        if isinstance(node, exp.Aliases) or self.expressions.spreads:
            return ColumnSet((), False, True, (), "an expression gives several columns")
        if self.expressions.multiplied(inner):
            scope.deciding |= value.sources
        type_ = self.types.of(inner)
        spread = self.dialect.unnest_spreads and isinstance(inner, (exp.Explode, exp.Unnest))
        if spread and not type_:
            reason = "unnest of a struct gives a column for each of its fields"
            name = self.output(node.args["alias"]) if isinstance(node, exp.Alias) else ""
            return ColumnSet(((name, value),), False, True, (), reason)
        aliased = isinstance(node, exp.Alias)
        name = self.output(node.args["alias"]) if aliased else self.implied_name(inner, scope)
        return ColumnSet(((name, value.typed(type_)),))

    def implied_name(self, node: exp.Expr, scope: ColumnScope) -> str:
        """The warehouse's name for a column without an alias; "" if only the warehouse knows it."""
        if isinstance(node, exp.Column) and self.dialect.spelled_by_relation:
            written = self.output(node.this)
            lower = written.lower()  # `select ID` from a column `id` is `id`
            for item in scope.items:
                if (name := item.column_set.spellings.get(lower)) is not None:
                    return name
            return written
        return self.dialect.implied_name(node, self.output)
