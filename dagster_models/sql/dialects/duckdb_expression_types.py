"""The types of DuckDB's expressions. Each rule was measured with DESCRIBE, and tests/data/lineage
runs it again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from sqlglot import exp

from dagster_models.sql.dialects.dialect import TypeOf
from dagster_models.sql.dialects.type_words import (
    FRACTION,
    LITERAL,
    LITERALS,
    REAL,
    STAMPS,
    WIDE_LITERAL,
    WIDTH,
    decimal_digits,
    element_of,
    fields_of,
    is_decimal,
    settled,
    unified,
)


def duckdb_expression_type(type_of: TypeOf, node: exp.Expr) -> str:
    """The type of an expression, LITERAL for a whole number, "" if it is not sure."""
    kind = type(node)
    if kind is exp.Literal:
        return "VARCHAR" if node.args.get("is_string") else _number(str(node.this))
    if kind in _FIXED:
        return _FIXED[kind]
    if isinstance(node, (exp.Predicate, exp.Connector, exp.Not)):
        return "BOOLEAN"
    rule = _RULES.get(kind)
    return rule(type_of, node) if rule is not None else ""


def _number(text: str) -> str:
    if re.fullmatch(r"\d+", text):
        value = int(text)
        if value < 2**31:
            return LITERAL if value < 128 else WIDE_LITERAL
        return "BIGINT" if value < 2**63 else "HUGEINT" if value < 2**127 else ""
    found = re.fullmatch(r"(\d*)\.(\d+)", text)
    if found is None:
        return "DOUBLE" if re.fullmatch(r"[\d.]+[eE][+-]?\d+", text) else ""
    if found[1] in ("", "0"):
        return FRACTION
    width = len(found[1]) + len(found[2])
    return f"DECIMAL({width},{len(found[2])})" if width <= 38 else ""


_FIXED: dict[type[exp.Expr], str] = {
    **dict.fromkeys((exp.Count, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile), "BIGINT"),
    **dict.fromkeys((exp.PercentRank, exp.CumeDist, exp.Sqrt, exp.Ln, exp.Pow, exp.Exp), "DOUBLE"),
    **dict.fromkeys((exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance), "DOUBLE"),
    **dict.fromkeys((exp.Lower, exp.Upper, exp.Trim, exp.Concat, exp.ConcatWs), "VARCHAR"),
    **dict.fromkeys((exp.RegexpReplace, exp.RegexpExtract, exp.TimeToStr, exp.MD5), "VARCHAR"),
    **dict.fromkeys((exp.Replace, exp.SplitPart, exp.GroupConcat), "VARCHAR"),
    **dict.fromkeys((exp.Boolean, exp.LogicalOr, exp.LogicalAnd, exp.Exists), "BOOLEAN"),
    **dict.fromkeys((exp.Year, exp.Quarter, exp.Month, exp.Day, exp.Hour), "BIGINT"),
    **dict.fromkeys((exp.Minute, exp.Week, exp.DayOfWeek, exp.DayOfYear), "BIGINT"),
    **dict.fromkeys((exp.DateDiff, exp.ApproxDistinct, exp.DayOfWeekIso), "BIGINT"),
    **dict.fromkeys((exp.Monthname, exp.Dayname), "VARCHAR"),
    exp.Interval: "INTERVAL",
    exp.CurrentDate: "DATE",
    exp.CurrentTimestamp: "TIMESTAMP WITH TIME ZONE",
    exp.CountIf: "HUGEINT",
    exp.StrPosition: "BIGINT",
}

_FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(("now", "get_current_timestamp"), "TIMESTAMP WITH TIME ZONE"),
    **dict.fromkeys(("to_days", "to_hours", "to_minutes", "to_seconds", "to_months"), "INTERVAL"),
    **dict.fromkeys(("printf", "lpad", "rpad", "typeof"), "VARCHAR"),
    "len": "BIGINT",
    "uuid": "UUID",
    "hash": "UBIGINT",
}
_Rule: TypeAlias = Callable[[TypeOf, exp.Expr], str]


def _first(type_of: TypeOf, node: exp.Expr) -> str:
    return settled(type_of(node.this))


def _sum(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(type_of(node.this))
    if of in WIDTH or of == "BOOLEAN":
        return "HUGEINT"
    if is_decimal(of):
        return f"DECIMAL(38,{of[:-1].split(',')[1]})"
    return "DOUBLE" if of in REAL else ""


def _avg(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(type_of(node.this))
    return "DOUBLE" if of in WIDTH or of in REAL or is_decimal(of) else ""


def _median(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(type_of(node.this))
    return "DOUBLE" if of in WIDTH else of if of in REAL or is_decimal(of) else ""


def _arithmetic(type_of: TypeOf, node: exp.Expr) -> str:
    left, right = type_of(node.this), type_of(node.args.get("expression"))
    if not left or not right:
        return ""
    if left in LITERALS and right in LITERALS:
        return "INTEGER"
    if "INTERVAL" in (left, right):
        return _shifted(node, left, right)
    if "DATE" in (left, right):
        return _days(node, left, right)
    if isinstance(node, exp.Sub) and left == right and left in STAMPS:
        return "INTERVAL"
    one, two = decimal_digits(left), decimal_digits(right)
    if one is None or two is None or not (is_decimal(left) or is_decimal(right)):
        return unified((left, right)) if _numeric(left) and _numeric(right) else ""
    if isinstance(node, exp.Mul):
        digits, scale = one[0] + two[0], one[1] + two[1]
    else:
        scale = max(one[1], two[1])
        digits = max(one[0] - one[1], two[0] - two[1]) + scale + 1
    most = 18 if max(one[0], two[0]) <= 18 else 38
    return f"DECIMAL({min(digits, most)},{scale})" if scale <= most else ""


def _numeric(type_: str) -> bool:
    return type_ in WIDTH or type_ in REAL or type_ in LITERALS or is_decimal(type_)


def _shifted(node: exp.Expr, left: str, right: str) -> str:
    """A moment, and an interval added to it or taken off."""
    of = right if left == "INTERVAL" else left
    if isinstance(node, exp.Mul) or (isinstance(node, exp.Sub) and left == "INTERVAL" != right):
        return ""
    if of == "INTERVAL":
        return "INTERVAL"
    return "TIMESTAMP" if of == "DATE" else of if of in STAMPS else ""


def _days(node: exp.Expr, left: str, right: str) -> str:
    if isinstance(node, exp.Sub) and left == right == "DATE":
        return "BIGINT"
    whole = {*LITERALS, "INTEGER"}
    if isinstance(node, (exp.Add, exp.Sub)) and left == "DATE" and right in whole:
        return "DATE"
    return "DATE" if isinstance(node, exp.Add) and right == "DATE" and left in whole else ""


def _division(type_of: TypeOf, node: exp.Expr) -> str:
    both = {type_of(node.this), type_of(node.args.get("expression"))}
    if not all(map(_numeric, both)):
        return ""
    return "FLOAT" if "FLOAT" in both and both <= {"FLOAT", *WIDTH, *LITERALS} else "DOUBLE"


def _whole(type_of: TypeOf, node: exp.Expr) -> str:
    both = {type_of(node.this), type_of(node.args.get("expression"))}
    if both <= LITERALS:
        return "INTEGER"
    return unified(both) if both <= {*WIDTH, *LITERALS} else ""


def _same_number(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(type_of(node.this))
    return of if of in WIDTH or of in REAL or is_decimal(of) else ""


def _rounded(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(type_of(node.this))
    if isinstance(node, exp.Round):
        return of if of in REAL or (of in WIDTH and not node.args.get("decimals")) else ""
    return "DOUBLE" if of in WIDTH else of if of in REAL else ""


def _joined_text(type_of: TypeOf, node: exp.Expr) -> str:
    pair = (node.this, node.args.get("expression"))
    if any(isinstance(item, exp.Null) for item in pair):
        return ""
    both = [type_of(item) for item in pair]
    return "VARCHAR" if "VARCHAR" in both and all(t[-2:] != "[]" for t in both) else ""


def _text(type_of: TypeOf, node: exp.Expr) -> str:
    return "VARCHAR" if type_of(node.this) == "VARCHAR" else ""


def _length(type_of: TypeOf, node: exp.Expr) -> str:
    return "BIGINT"


def _truncated(type_of: TypeOf, node: exp.Expr) -> str:
    of = type_of(node.this)
    return "TIMESTAMP" if of in ("DATE", "TIMESTAMP") else of if of in STAMPS else ""


def _extract(type_of: TypeOf, node: exp.Expr) -> str:
    part = node.this.name.lower() if isinstance(node.this, exp.Expr) else ""
    whole = {"year", "quarter", "month", "week", "day", "hour", "minute", "dow", "isodow", "doy"}
    return "BIGINT" if part in whole else ""


def _dot(type_of: TypeOf, node: exp.Expr) -> str:
    fields = fields_of(type_of(node.this)) or {}
    name = node.args["expression"].name.lower()
    return next((type_ for field, type_ in fields.items() if field.lower() == name), "")


def _bracket(type_of: TypeOf, node: exp.Expr) -> str:
    of = type_of(node.this)
    (key,) = node.expressions if len(node.expressions) == 1 else (None,)
    if isinstance(key, exp.Slice):
        return of if of == "VARCHAR" or of.endswith("[]") else ""
    if of == "VARCHAR":
        return of
    fields = fields_of(of)
    if fields is not None and isinstance(key, exp.Literal) and key.args.get("is_string"):
        return next((t for name, t in fields.items() if name.lower() == key.name.lower()), "")
    return element_of(of)


def _struct(type_of: TypeOf, node: exp.Expr) -> str:
    fields = []
    for item in node.expressions:
        if not isinstance(item, exp.PropertyEQ) or not re.fullmatch(r"[a-z_]\w*", item.name):
            return ""
        fields.append((item.name, settled(type_of(item.expression))))
    typed = all(type_ for _, type_ in fields)
    return f"STRUCT({', '.join(map(' '.join, fields))})" if fields and typed else ""


def _named(type_of: TypeOf, node: exp.Expr) -> str:
    """A function that sqlglot has no class for."""
    return _FUNCTIONS.get(node.name.lower(), "")


def _list(type_of: TypeOf, node: exp.Expr) -> str:
    of = settled(unified([type_of(item) for item in node.expressions]))
    return f"{of}[]" if of and node.expressions else ""


def _gathered(type_of: TypeOf, node: exp.Expr) -> str:
    inner = node.this.this if isinstance(node.this, exp.Order) else node.this
    of = settled(type_of(inner))
    return f"{of}[]" if of else ""


def _at_zone(type_of: TypeOf, node: exp.Expr) -> str:
    of = type_of(node.this)
    other = {"TIMESTAMP": "TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
    return other.get(of, "")


def _unnested(type_of: TypeOf, node: exp.Expr) -> str:
    of = node.expressions[0] if node.expressions else node.this
    return element_of(type_of(of)) if isinstance(of, exp.Expr) else ""


_RULES: dict[type[exp.Expr], _Rule] = {
    **dict.fromkeys((exp.Min, exp.Max, exp.AnyValue, exp.First, exp.Last, exp.ArgMax), _first),
    **dict.fromkeys((exp.ArgMin, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue), _first),
    **dict.fromkeys((exp.NthValue, exp.Nullif), _first),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul), _arithmetic),
    **dict.fromkeys((exp.Neg, exp.Abs), _same_number),
    **dict.fromkeys((exp.Round, exp.Floor, exp.Ceil), _rounded),
    exp.Anonymous: _named,
    exp.Bracket: _bracket,
    exp.Struct: _struct,
    **dict.fromkeys((exp.Substring, exp.Left, exp.Right), _text),
    exp.Sum: _sum,
    exp.Avg: _avg,
    exp.Median: _median,
    exp.Div: _division,
    exp.IntDiv: _whole,
    exp.Mod: _whole,
    exp.DPipe: _joined_text,
    exp.Length: _length,
    exp.TimestampTrunc: _truncated,
    exp.DateTrunc: _truncated,
    exp.Extract: _extract,
    exp.Dot: _dot,
    exp.Array: _list,
    exp.ArrayAgg: _gathered,
    exp.AtTimeZone: _at_zone,
    exp.Unnest: _unnested,
    exp.Explode: _unnested,
}
