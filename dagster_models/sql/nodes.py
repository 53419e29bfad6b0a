"""What a table in sqlglot's syntax tree stands for: a relation or something else of the same form,
read or written, and whether it has room for an alias."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Dialect

#: Under these a table can have an alias. In `summarize t` or `create table t` it cannot.
_ROOM = (exp.From, exp.Join, exp.Subquery, exp.Pivot, exp.Update, exp.Delete, exp.Merge, exp.Table)
_MODELS = (exp.Predict, exp.MLForecast, exp.GenerateEmbedding)
#: Statements that name a schema, a function or a role in the same form (`show tables from s`).
_OF_SCHEMAS = (exp.Lock, exp.UserDefinedFunction, exp.Grant, exp.Use, exp.Execute, exp.Show)
_RELATION_KINDS = {"TABLE", "VIEW", "MATERIALIZED VIEW"}


def identifiers_of(node: exp.Table) -> tuple[exp.Identifier, ...]:
    """The parts of a table's name; () for a function, a variable or a list of values."""
    last = node.this
    tail = list(last.flatten()) if isinstance(last, exp.Dot) else [last]
    parts = [node.args.get("catalog"), node.args.get("db"), *tail]
    names = [part for part in parts if isinstance(part, exp.Identifier)]
    others = [part for part in parts if part and not isinstance(part, exp.Identifier)]
    return () if others or node.this is None else tuple(names)


def _target(node: exp.Table) -> exp.Expr | None:
    """The statement or clause above the table, without the list of columns in between."""
    parent = node.parent
    return parent.parent if isinstance(parent, exp.Schema) else parent


def is_relation(node: exp.Table) -> bool:
    """Whether the name is a relation's, and not a schema's, a function's or a temporary table's."""
    parent = _target(node)
    if isinstance(parent, _OF_SCHEMAS):
        return False
    if isinstance(parent, (exp.Create, exp.Drop)) and node.find_ancestor(exp.Query) is None:
        if isinstance(parent, exp.Create) and is_temporary(parent):
            return False
        return str(parent.args.get("kind") or "").upper() in _RELATION_KINDS
    return True


def is_written(node: exp.Table) -> bool:
    parent = _target(node)
    if isinstance(parent, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return parent.this is node or parent.this is node.parent
    if isinstance(parent, exp.Copy):
        return bool(parent.args.get("kind"))
    kinds = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Into, exp.Index, exp.Comment)
    return isinstance(parent, kinds)


def has_room(node: exp.Table, dialect: Dialect) -> bool:
    """Whether an alias can be written behind the table's name."""
    behind = ("when", "version", "changes", "only", *dialect.alias_follows)
    if any(node.args.get(key) for key in behind):
        return False  # the alias would have to follow the clause
    parent = _target(node)
    if isinstance(parent, exp.Insert):
        return dialect.insert_has_alias
    return isinstance(parent, _ROOM)


def is_temporary(node: exp.Create) -> bool:
    properties = node.args.get("properties")
    return properties is not None and any(
        isinstance(item, exp.TemporaryProperty) for item in properties.expressions
    )


def without_relations(kind: type[exp.Expr]) -> frozenset[str]:
    """The arguments of a node of that class in which a Table is the name of something else: a
    function, a machine learning model, the format of a stage's files."""
    if issubclass(kind, exp.Table):
        return frozenset({"format"})
    return frozenset({"this"} if issubclass(kind, (exp.UserDefinedFunction, *_MODELS)) else ())


def is_more_than_parentheses(node: exp.Expr) -> bool:
    return any(value for key, value in node.args.items() if key != "this")


def recurses(body: exp.Expr) -> bool:
    """DuckDB (measured): neither UNION BY NAME nor a UNION below a WITH of its own recurses."""
    plain = isinstance(body, exp.Union) and not body.args.get("with_")
    return plain and not body.args.get("by_name")


def ctes_of(with_: exp.Expr | None) -> list[exp.Expr]:
    return list(with_.expressions) if with_ is not None else []


def unlink(trees: Sequence[exp.Expr]) -> None:
    """Make garbage of trees that nobody reads any more. Each node refers to its parent, and the
    collector would take longer to find such cycles than the parser takes to make them."""
    stack = list(trees)
    while stack:
        args = stack.pop().args
        for value in args.values():  # as iter_expressions, in half of the time
            kind = type(value)
            if kind is list:
                stack += [item for item in value if isinstance(item, exp.Expr)]
            elif kind not in _WITHOUT_CHILDREN and isinstance(value, exp.Expr):
                stack.append(value)
        args.clear()


#: What nearly all arguments are. A node without children is garbage once its parent's are cleared.
_WITHOUT_CHILDREN = frozenset({exp.Identifier, exp.Literal, str, bool, type(None)})


def with_columns(method: exp.Dot) -> None:
    """Make columns again of the names before `.upper()`, from which sqlglot takes that away."""
    for name in list(method.this.find_all(exp.Identifier)):
        whole: exp.Expr = name
        while isinstance(whole.parent, exp.Dot) and whole.parent is not method:
            whole = whole.parent
        parts = list(whole.flatten()) if isinstance(whole, exp.Dot) else [whole]
        if all(isinstance(part, exp.Identifier) for part in parts) and _is_read(whole, parts):
            whole.replace(_column(parts))


def _is_read(name: exp.Expr, parts: Sequence[exp.Expr]) -> bool:
    """Whether a name stands where an expression does."""
    key = (type(name.parent), name.arg_key)
    if isinstance(name.parent, _NAMING) or key in _NAMED or name.arg_key == "alias":
        return False
    around = name.find_ancestor(exp.Lambda, exp.Comprehension)
    given = [] if around is None else [*around.expressions, around.args.get("expression")]
    return parts[0].name.lower() not in {
        one.name.lower() for one in given if isinstance(one, exp.Identifier)
    }


_NAMING = (exp.Column, exp.Table, exp.TableAlias, exp.ColumnDef, exp.DataType)
_NAMED = {(exp.PropertyEQ, "this"), (exp.Kwarg, "this"), (exp.Lambda, "expressions")}


def _column(parts: Sequence[exp.Expr]) -> exp.Column:
    keys = ("this", "table", "db", "catalog")
    return exp.Column(**{k: part.copy() for k, part in zip(keys, reversed(parts), strict=False)})
