"""ClickHouse's token rules."""

from __future__ import annotations

from sqlglot import TokenType

from dagster_models.sql.rewriting.named_tables import At, one_row_of_values, table_names
from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules

#: Functions that read a table of this server whose name they are given.
_READS = {
    **dict.fromkeys(("joinget", "joingetornull"), At(0, only_in_from=False)),
    **dict.fromkeys(("loop", "mergetreeindex", "mergetreeprojection"), At(0, apart=True)),
    **dict.fromkeys(("mergetreeanalyzeindexes", "timeseriesdata"), At(0, apart=True)),
    **dict.fromkeys(("timeseriestags", "timeseriesmetrics"), At(0, apart=True)),
    **dict.fromkeys(("timeseriesselector",), At(0, apart=True)),
    **dict.fromkeys(("cluster", "clusterallreplicas"), At(1, apart=True)),
    "merge": At(None),  # all tables whose names match a pattern
}


def _null_function(rewriter: TokenRewriter, index: int) -> int:
    """`null('x Int')` is a table function."""
    if rewriter.kind(index) != TokenType.NULL or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    rewriter.emit(rewriter.tokens[index], (TokenType.VAR, "null"))
    return 1


CLICKHOUSE_TOKENS = TokenRules(
    {
        _null_function: ("null",),
        one_row_of_values: ("values",),
        table_names(_READS): tuple(_READS),
    }
)
