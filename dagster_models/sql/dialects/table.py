"""The table of dialects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from dagster_models.sql.dialects import others
from dagster_models.sql.dialects.bigquery import BIGQUERY
from dagster_models.sql.dialects.clickhouse import CLICKHOUSE
from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.duckdb import DUCKDB
from dagster_models.sql.dialects.mysql import DORIS, MYSQL, SINGLESTORE, STARROCKS
from dagster_models.sql.dialects.postgres import MATERIALIZE, POSTGRES, RISINGWAVE
from dagster_models.sql.dialects.redshift import REDSHIFT
from dagster_models.sql.dialects.snowflake import SNOWFLAKE
from dagster_models.sql.dialects.spark import DATABRICKS, SPARK, SPARK2
from dagster_models.sql.dialects.trino import PRESTO, TRINO
from dagster_models.sql.dialects.tsql import FABRIC, TSQL

_ALL = (
    others.ATHENA,
    BIGQUERY,
    CLICKHOUSE,
    DATABRICKS,
    DORIS,
    DUCKDB,
    others.EXASOL,
    FABRIC,
    others.HIVE,
    MATERIALIZE,
    MYSQL,
    others.ORACLE,
    POSTGRES,
    PRESTO,
    REDSHIFT,
    RISINGWAVE,
    SINGLESTORE,
    SNOWFLAKE,
    SPARK,
    SPARK2,
    others.SQLITE,
    STARROCKS,
    others.TERADATA,
    TRINO,
    TSQL,
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _ALL}

#: What a project may name in `dialect:`.
OFFERED = tuple(name for name, dialect in DIALECTS.items() if dialect.offered)


@lru_cache
def dialect_of(name: str) -> Dialect:
    """The dialect that sqlglot calls *name*; one without differences if it is not in the table."""
    return DIALECTS.get(name) or Dialect(name)
