"""MySQL, and the databases that speak its protocol."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept
from dagster_models.sql.dialects.later import value

MYSQL = Dialect(
    "mysql",
    quotes="``",
    unquoted=kept,
    quoted=kept,
    system_schemas=frozenset({"mysql", "sys", "performance_schema"}),
    system_tables=frozenset({"dual"}),
    tokens=value("dialects.mysql_tokens", "MYSQL_TOKENS"),
    alias_follows=("partition",),
    executes_comments=True,
    moment="datetime(6)",
)
DORIS = Dialect("doris", quotes="``", offered=False, unquoted=kept, quoted=kept)
SINGLESTORE = Dialect(
    "singlestore", quotes="``", offered=False, unquoted=kept, quoted=kept, executes_comments=True
)
STARROCKS = Dialect("starrocks", quotes="``", offered=False, unquoted=kept, quoted=kept)
