"""What PostgreSQL calls a column of a query that has no alias.

The rules are its parser's (``FigureColname`` in parse_target.c, the same since version 15), as far
as sqlglot's tree still shows how the expression was written: `now()` and `current_timestamp` are
one node there and two names. "" means that the name is not known.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

_T = exp.DataType.Type
#: The name of a column that has none of its own.
_UNNAMED = "?column?"
_OPERATORS = (
    *(exp.Predicate, exp.Connector, exp.Not, exp.Neg, exp.Literal, exp.Null, exp.BitwiseNot),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.DPipe),
)
#: These are called as what they hold.
_WRAPPERS = (exp.Paren, exp.Filter, exp.Window, exp.WithinGroup, exp.Collate, exp.Bracket)
_NAMES: dict[type[exp.Expr], str] = {
    **{kind: kind.sql_name().lower() for kind in (exp.Avg, exp.Max, exp.Min, exp.Sum, exp.Count)},
    exp.Abs: "abs",
    exp.Array: "array",
    exp.ArrayAgg: "array_agg",
    exp.ArrayPosition: "array_position",
    exp.AtTimeZone: "timezone",
    exp.Coalesce: "coalesce",
    exp.Concat: "concat",
    exp.ConcatWs: "concat_ws",
    exp.CumeDist: "cume_dist",
    exp.CurrentDate: "current_date",
    exp.DateBin: "date_bin",
    exp.DenseRank: "dense_rank",
    exp.Exists: "exists",
    exp.Exp: "exp",
    exp.Explode: "unnest",
    exp.ExplodingGenerateSeries: "generate_series",
    exp.FirstValue: "first_value",
    exp.Floor: "floor",
    exp.Format: "format",
    exp.Greatest: "greatest",
    exp.GroupConcat: "string_agg",
    exp.Grouping: "grouping",
    exp.Interval: "interval",
    exp.Lag: "lag",
    exp.LastValue: "last_value",
    exp.Lead: "lead",
    exp.Least: "least",
    exp.Ln: "ln",
    exp.Lower: "lower",
    exp.NthValue: "nth_value",
    exp.Ntile: "ntile",
    exp.Nullif: "nullif",
    exp.PercentRank: "percent_rank",
    exp.Rank: "rank",
    exp.RegexpReplace: "regexp_replace",
    exp.Repeat: "repeat",
    exp.Replace: "replace",
    exp.Round: "round",
    exp.RowNumber: "row_number",
    exp.Sqrt: "sqrt",
    exp.StddevPop: "stddev_pop",
    exp.StrToDate: "to_date",
    exp.StringToArray: "string_to_array",
    exp.TimeToStr: "to_char",
    exp.TimestampTrunc: "date_trunc",
    exp.Tuple: "row",
    exp.Upper: "upper",
    exp.VariancePop: "var_pop",
    exp.WidthBucket: "width_bucket",
}
_TYPES = {
    _T.BIGINT: "int8",
    _T.BOOLEAN: "bool",
    _T.CHAR: "bpchar",
    _T.DATE: "date",
    _T.DECIMAL: "numeric",
    _T.DOUBLE: "float8",
    _T.FLOAT: "float4",
    _T.INT: "int4",
    _T.INTERVAL: "interval",
    _T.JSON: "json",
    _T.JSONB: "jsonb",
    _T.SMALLINT: "int2",
    _T.TEXT: "text",
    _T.TIME: "time",
    _T.TIMESTAMP: "timestamp",
    _T.TIMESTAMPTZ: "timestamptz",
    _T.TIMETZ: "timetz",
    _T.UUID: "uuid",
    _T.VARCHAR: "varchar",
}

Output = Callable[[exp.Expr], str]


def postgres_name(node: exp.Expr, output: Output) -> str:
    """The name of the column; ``output`` gives the name that an identifier means."""
    return _named(node, output)[0]


def _named(node: exp.Expr, output: Output) -> tuple[str, bool]:
    """The name, and whether it precedes that of a cast around it."""
    while isinstance(node, _WRAPPERS):
        node = node.this
    if isinstance(node, exp.Column):
        whole = isinstance(node.this, exp.Star)  # `(t.*)::text`
        return output(node.args["table"] if whole else node.this), True
    if isinstance(node, exp.Dot):
        return _last(node.expression, output), True
    if isinstance(node, exp.Anonymous):
        return _last(node, output), True
    if isinstance(node, (exp.Cast, exp.TryCast)):
        inner, strong = _named(node.this, output)
        return (inner, True) if strong or not inner else (_type(node.args["to"], output), False)
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        inner, strong = _named(default, output) if default is not None else (_UNNAMED, False)
        return (inner, True) if strong or not inner else ("case", False)
    if isinstance(node, exp.Query):
        return _of_query(node, output), True
    if type(node) in _NAMES:
        return _NAMES[type(node)], True
    operator = isinstance(node, _OPERATORS) and not isinstance(node, exp.Func)
    if operator or node.args.get("only_json_types"):  # `->` and `->>`
        return _UNNAMED, False
    return "", False


def _last(node: exp.Expr, output: Output) -> str:
    """The name of a function, or of a field."""
    if isinstance(node, exp.Identifier):
        return output(node)
    if isinstance(node, exp.Anonymous):
        name = node.this
        return output(name) if isinstance(name, exp.Identifier) else str(name).lower()
    return ""


def _of_query(node: exp.Expr, output: Output) -> str:
    """The name of its first column."""
    while isinstance(node, (exp.Subquery, exp.SetOperation)):
        node = node.this
    if isinstance(node, exp.Values):
        return "column1"
    first = node.expressions[0] if isinstance(node, exp.Select) and node.expressions else None
    if isinstance(first, exp.Alias):
        return output(first.args["alias"])
    return _named(first, output)[0] if first is not None else ""


def _type(node: exp.Expr, output: Output) -> str:
    """PostgreSQL's own name of a type, as in its catalog."""
    if not isinstance(node, exp.DataType):
        return ""
    if node.this == _T.ARRAY and node.expressions:
        return _type(node.expressions[0], output)
    if node.this == _T.USERDEFINED:
        kind = node.args.get("kind")
        return output(kind) if isinstance(kind, exp.Identifier) else ""
    return _TYPES.get(node.this, "")
