"""What DuckDB calls a column without an alias."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Output
from dagster_models.sql.dialects.trees import name_of_column


def duckdb_name(node: exp.Expr, output: Output) -> str:
    if isinstance(node, exp.Count):
        return "count_star()" if isinstance(node.this, exp.Star) else ""
    if isinstance(node, exp.Dot):
        return ""  # `(a).b` is called `(a).b`
    return name_of_column(node, output)
