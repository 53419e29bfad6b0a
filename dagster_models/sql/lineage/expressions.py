"""One expression of a query: the columns that it is made of, its digest, and its mistakes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from sqlglot import exp

from dagster_models.core.traced import ColumnProblem, Kept, Origin, Spanning, Upstream
from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.type_words import fields_of
from dagster_models.sql.lineage.column_sets import (
    Ambiguous,
    ColumnScope,
    ColumnSet,
    Missing,
    Value,
    digest_of,
    guessed,
    look_up,
    together,
    whole_row,
)
from dagster_models.sql.lineage.kept import chain, spanning, truncated
from dagster_models.sql.nodes import with_columns
from dagster_models.util.nearest import nearest
from dagster_models.util.positions import Lines

#: Names that only look like columns: functions without parentheses, columns of the system.
_NO_COLUMNS = frozenset(
    {
        *("rowid", "ctid", "oid", "tableoid", "xmin", "xmax", "cmin", "cmax", "rownum", "level"),
        *("current_user", "session_user", "user", "current_role", "current_schema"),
        *("current_catalog", "current_database", "current_date", "current_time", "today", "now"),
        *("current_timestamp", "localtime", "localtimestamp", "sysdate", "systimestamp"),
        *("filename", "file_row_number", "all", "default"),
    }
)

#: `s.nextval` is the next value of a sequence (Oracle, Snowflake).
_OF_SEQUENCES = frozenset({"nextval", "currval"})

#: Arguments that are types, even if sqlglot reads a column: `json_object(returning jsonb)`.
_TYPES = frozenset({"return_type"})

Query = Callable[[exp.Expr, "ColumnScope | None", Mapping[str, ColumnSet]], ColumnSet]


class Expressions:
    """Reads the expressions of one query. ``types``: id of a column or subquery -> its type, which
    holds as long as the tree is alive. ``joined``: folded prefixes of the columns of a USING."""

    def __init__(
        self, dialect: Dialect, lines: Lines, query: Query, joined: Collection[str] = ()
    ) -> None:
        self.dialect, self.lines, self.query, self.joined = dialect, lines, query, joined
        self.functions: dict[str, Upstream] = {}  #: those of the project that the query calls
        self.types: dict[int, str] = {}
        self.prefixes: dict[tuple[str, bool], str] = {}  #: a name, whether quoted -> see ``folded``
        self.kinds: set[type[exp.Expr]] = set()  #: of the nodes that ``read`` has gone through
        self.spreads = False  #: whether the last expression holds DuckDB's COLUMNS(...)
        self.spanning: list[Spanning] = []
        self.problems: list[ColumnProblem] = []
        self.withheld: list[ColumnProblem] = []  #: those of CTEs that perhaps nothing reads

    def read(self, node: exp.Expr, scope: ColumnScope) -> Value:
        """What *node* is made of. With a stack, as an OR chain may have 600 terms."""
        if isinstance(node, exp.Column):
            return self.noted(node, scope)
        parts: list[str] = []
        sources: set[Origin] = set()
        reason = ""
        stack: list[tuple[exp.Expr, frozenset[str]]] = [(node, frozenset())]
        while stack:
            item, bound = stack.pop()
            if isinstance(item, exp.Column):
                inside = bound and not isinstance(item.this, exp.Star)
                if inside and _first_part(item) in bound:
                    parts.append(item.name.lower())
                    continue
                value = self.noted(item, scope)
            elif isinstance(item, exp.Query):
                value = self.subquery(item, scope)
                self.kinds.add(exp.Query)  # the columns of the subquery were read in between
            elif isinstance(item, exp.Dot) and (owner := self.owner(item, bound, scope)):
                value = owner
                stack.append((item.expression, bound))
            else:
                if isinstance(item, exp.Columns):  # of any column, as far as can be seen here
                    self.spreads = True
                    every = together(whole_row(one) for one in scope.items)
                    sources |= every.sources
                    parts.append(every.digest)
                elif isinstance(item, exp.Window):
                    self.note_spanning(item, scope)
                elif isinstance(item, exp.Anonymous):
                    reason = reason or self.call(item)
                bound = self.step(item, bound, parts, stack)
                continue
            sources |= value.sources
            parts.append(value.digest)
            reason = reason or value.reason
        return Value("", frozenset(sources), digest_of(*parts), reason, self.kept(node, scope))

    def begin(self) -> None:
        """Forget what an expression has shown of itself beside its value."""
        self.spreads = False
        self.kinds.clear()

    def multiplied(self, node: exp.Expr) -> bool:
        """Whether an expression, the only one read since ``begin``, makes several rows of one."""
        several = self.dialect.multiplies()
        if exp.Query in self.kinds:  # the columns of a subquery are other expressions
            return node.find(*several) is not None
        return not self.kinds.isdisjoint(several)

    def kept(self, node: exp.Expr, scope: ColumnScope) -> frozenset[Kept]:
        """The upstream columns whose values *node* keeps; see TracedColumn."""
        found = chain(node)
        value = self.column(found[0], scope, silent=True) if found else None
        return truncated(value.kept, found[1]) if found and value else frozenset()

    def note_spanning(self, node: exp.Expr, scope: ColumnScope) -> None:
        """Note a window, or what of a SELECT looks beyond a group of rows."""
        names = (name for item in scope.items for name in item.column_set.relations)
        self.spanning += spanning(node, names, lambda it: self.kept(it, scope), self.place)

    def place(self, node: exp.Expr) -> tuple[int, int]:
        """Where an expression begins, by the first name or number in it."""
        starts = [it.meta["start"] for it in node.walk() if "start" in it.meta]
        return self.lines.place(min(starts)) if starts else (1, 1)

    def step(
        self,
        item: exp.Expr,
        bound: frozenset[str],
        parts: list[str],
        stack: list[tuple[exp.Expr, frozenset[str]]],
    ) -> frozenset[str]:
        """Note what kind of node *item* is, and put its children on the stack."""
        if isinstance(item, (exp.Lambda, exp.Comprehension)):
            names = item.expressions
            if isinstance(item, exp.Comprehension):  # `x + i for x, i in l`
                names = [item.expression, item.args.get("position")]
            bound = bound | {name.name.lower() for name in names if isinstance(name, exp.Expr)}
        if isinstance(item, exp.Identifier):
            quoted = bool(item.args.get("quoted"))
            parts.append(self.dialect.fold(item.name, quoted))
            return bound
        kind = type(item)
        self.kinds.add(kind)
        parts.append(kind.__name__)
        for key, child in item.args.items():
            if child is None or child is False or key in _TYPES:
                continue
            if isinstance(child, exp.Expr):
                parts.append(key)
                stack.append((child, bound))
            elif isinstance(child, list):
                parts += [key] if child else []
                for one in reversed(child):
                    if isinstance(one, exp.Expr):
                        stack.append((one, bound))
                    else:
                        parts.append(str(one))
            else:
                parts += (key, str(child))
        return bound

    def owner(self, node: exp.Dot, bound: Collection[str], scope: ColumnScope) -> Value | None:
        """The column in `name.upper()`; None if it is a schema, or anything else."""
        if not self.dialect.methods or not isinstance(node.expression, exp.Func):
            return None
        with_columns(node)
        if not isinstance(node.this, exp.Column) or _first_part(node.this) in bound:
            return None
        schema = Value(digest=digest_of("schema", *(part.name.lower() for part in node.this.parts)))
        return self.column(node.this, scope, silent=True) or schema

    def call(self, node: exp.Anonymous) -> str:
        """Note the type of what a function of the project returns. Return why the sources of its
        value are incomplete, "" if they are its arguments."""
        name = self.dialect.fold(node.name, isinstance(node.this, exp.Identifier))
        found = self.functions.get(name)
        if found is None or not found.schema.columns:
            return ""
        whole = node.parent if isinstance(node.parent, exp.Dot) else node
        self.types[id(whole)] = found.schema.columns[0][1]
        if found.schema.closed:
            return ""
        return f"what the function {'.'.join(found.key)} reads is not followed"

    def subquery(self, node: exp.Query, scope: ColumnScope) -> Value:
        column_set = self.query(node, scope, scope.ctes)
        scope.deciding |= column_set.row_sources
        sources: frozenset[Origin] = frozenset()
        reason = column_set.reason
        for _, value in column_set.columns:
            sources |= value.sources
            reason = reason or value.reason
        digests = (value.digest for _, value in column_set.columns)
        if len(column_set.columns) == 1 and column_set.closed:
            self.types[id(node)] = column_set.columns[0][1].type
        return Value("", sources, digest_of("subquery", column_set.rows, *digests), reason)

    def clause(self, clause: object, scope: ColumnScope) -> str:
        """The digest of a clause, whose columns decide which rows there are."""
        if isinstance(clause, exp.Expr):
            value = self.read(clause, scope)
            scope.deciding |= value.sources
            return value.digest
        if isinstance(clause, list):
            return digest_of(*(self.clause(item, scope) for item in clause))
        return str(clause)

    def noted(self, node: exp.Column, scope: ColumnScope) -> Value:
        value = self.column(node, scope) or Value(reason="the column is not known")
        self.types[id(node)] = value.type
        return value

    # --- columns ----------------------------------------------------------------------------

    def column(self, node: exp.Column, scope: ColumnScope, silent: bool = False) -> Value | None:
        """What a column means; None if there is none, which is reported unless *silent*."""
        if isinstance(node.this, exp.Star):
            return self.row_of(node, scope)
        args, table = node.args, node.args.get("table")
        if table is None and isinstance(node.this, exp.Identifier):
            return self.bare(node.this, scope, silent)
        if args.get("db") is None and isinstance(table, exp.Identifier):  # nearly every column
            item = scope.item(self.folded(table))
            found = item.column_set.by_name.get(node.name.lower()) if item is not None else None
            if found and len(found) == 1 and isinstance(node.this, exp.Identifier):
                return found[0]
        parts = (args.get("catalog"), args.get("db"), table, node.this)
        names = [part for part in parts if isinstance(part, exp.Identifier)]
        # `a.b.c`: the FROM item may have its schema before it, and fields of a struct may follow.
        for index in range(len(names) - 2, -1, -1):
            home = tuple(self.folded(name) for name in names[:index])
            item = scope.item(self.folded(names[index]), home)
            if item is None:
                continue
            column = names[index + 1]
            found = item.column_set.by_name.get(column.name.lower())
            if found:
                several = item.column_set.columns if len(found) > 1 else ()
                value = next((v for n, v in several if n == column.name), found[0])
                return _field(value, names[index + 2 :])
            if not item.column_set.knows_all:
                return _field(guessed(column.name, [item]), names[index + 2 :])
            if index == 0:
                return self.missing_in(item.name, item.column_set, column, names, scope, silent)
        if self.joined and self.folded(names[0]) in self.joined:
            lower = names[1].name.lower()
            merged = (around.merged[lower] for around in scope.chain() if lower in around.merged)
            return next(merged, Value(reason=f"`{names[0].name}` names the columns of a USING"))
        return self.struct(names, scope, silent)

    def bare(self, name: exp.Identifier, scope: ColumnScope, silent: bool = False) -> Value | None:
        """A column without a prefix; otherwise as ``column``."""
        found = look_up(scope, name.name)
        if isinstance(found, Value):
            return found
        if isinstance(found, Ambiguous):
            if not silent:
                items = [f"`{item}.{name.name}`" for item in found.items if item]
                what = f"the column `{name.name}` is ambiguous"
                fix = f"Write {' or '.join(items)}." if items else "Say which one is meant."
                self.report(name, what, fix, found.certain)
            return found.value._replace(reason=f"`{name.name}` is ambiguous")
        if name.name.lower() in _NO_COLUMNS or silent:
            return Value(digest=digest_of(name.name.lower())) if not silent else None
        self.report_missing(name, f"there is no column `{name.name}`", found)
        return None

    def struct(self, names: list[exp.Identifier], scope: ColumnScope, silent: bool) -> Value | None:
        """`s.f`: a field of the column s."""
        found = look_up(scope, names[0].name)
        if isinstance(found, Value):
            return _field(found, names[1:])
        if isinstance(found, Ambiguous):
            return _field(found.value, names[1:])
        if not silent:
            written = ".".join(name.name for name in names[:-1])
            tables = tuple(item.name for around in scope.chain() for item in around.items)
            what = f"there is no table `{written}` in this FROM, and no column of that name"
            self.report_missing(names[0], what, Missing(found.certain, tables), "Tables")
            if not self.dialect.ctes_are_values and names[-1].name.lower() not in _OF_SEQUENCES:
                self.problems[-1] = replace(self.problems[-1], no_table=True, missing="")
        return None

    def row_of(self, node: exp.Column, scope: ColumnScope) -> Value:
        item = scope.item(self.folded(node.args.get("table")))
        if item is None:
            return Value(reason=f"the columns of {node.sql()} are not known")
        sources = frozenset(s for _, value in item.column_set.columns for s in value.sources)
        return Value("", sources, digest_of("row", item.column_set.rows))

    def folded(self, name: exp.Expr | None) -> str:
        """A prefix of columns, as the dialect compares it; "" if there is none."""
        if not isinstance(name, exp.Identifier):
            return self.dialect.alias("")
        written = name.name, bool(name.args.get("quoted"))
        found = self.prefixes.get(written)
        if found is None:  # nearly every column of a query has the same few prefixes
            found = self.prefixes[written] = self.dialect.alias(self.dialect.fold(*written))
        return found

    def table(self, name: exp.Expr | None) -> str:
        """A part of a table's name, as the dialect compares it; "" if there is none."""
        if not isinstance(name, exp.Identifier):
            return ""
        return self.dialect.fold(name.name, bool(name.args.get("quoted")))

    def output(self, name: exp.Expr) -> str:
        """The name that the warehouse gives to a column."""
        written: str = name.name
        quoted = isinstance(name, exp.Identifier) and name.args.get("quoted")
        return written if quoted else self.dialect.column(written)

    # --- what is wrong ----------------------------------------------------------------------

    def withhold(self, since: int) -> tuple[ColumnProblem, ...]:
        """Take back the problems from *since* on: DuckDB ignores a CTE that nothing reads."""
        withheld = tuple(self.problems[since:])
        del self.problems[since:]
        self.withheld += withheld
        return withheld

    def all_problems(self) -> tuple[ColumnProblem, ...]:
        """Each problem once, in the order of the text. Those of unread CTEs are not certain."""
        unread = (replace(it, certain=False) for it in self.withheld if it not in self.problems)
        every = dict.fromkeys((*self.problems, *unread))
        return tuple(sorted(every, key=lambda it: (it.line, it.column, it.what)))

    def missing_in(
        self,
        table: str,
        column_set: ColumnSet,
        column: exp.Identifier,
        names: list[exp.Identifier],
        scope: ColumnScope,
        silent: bool,
    ) -> Value | None:
        if column.name.lower() in _NO_COLUMNS:
            return Value(digest=digest_of(column.name.lower()))
        if isinstance(look_up(scope, names[0].name), Value) and len(names) > 1:
            found = look_up(scope, names[0].name)
            row = column_set.by_name.get(names[0].name.lower())
            if row and isinstance(found, Value):  # a struct with its table's name
                return _field(found, names[1:])
        if not silent:
            known = tuple(name for name, _ in column_set.columns)
            what = f"`{table}` has no column `{column.name}`"
            self.report_missing(column, what, Missing(column_set.certain, known))
        return None

    def report_missing(
        self, name: exp.Identifier, what: str, missing: Missing, noun: str = "Columns"
    ) -> None:
        known = [word for word in dict.fromkeys(missing.known) if word]
        close = nearest(name.name, known, 3)
        if close:
            fix = f"Did you mean {' or '.join(f'`{word}`' for word in close)}?"
        else:
            listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            fix = f"{noun} are: {listed}." if listed else "There is nothing to select from."
        self.report(name, what, fix, missing.certain)
        self.problems[-1] = replace(self.problems[-1], missing=name.name)

    def report(self, name: exp.Identifier, what: str, fix: str, certain: bool) -> None:
        start = name.meta.get("start")
        line, column = self.lines.place(start) if isinstance(start, int) else (1, 1)
        self.problems.append(ColumnProblem(what, line, column, fix, certain))


def _first_part(node: exp.Column) -> str:
    """The outermost part of a column's name, lower case."""
    name: str = node.parts[0].name
    return name.lower()


def _field(value: Value, path: list[exp.Identifier]) -> Value:
    for name in path:
        fields = {key.lower(): type_ for key, type_ in (fields_of(value.type) or {}).items()}
        type_ = fields.get(name.name.lower(), "")
        digest = digest_of(value.digest, name.name.lower())
        value = value._replace(type=type_, digest=digest, kept=frozenset())
    return value
