"""Apache Spark and Databricks."""

from __future__ import annotations

from dataclasses import replace

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.later import value

_FORMATS = {"parquet", "csv", "json", "delta", "orc", "text", "avro", "binaryfile", "iceberg"}


def _is_file(parts: tuple[str, ...], in_string: bool, quoted: bool) -> bool:
    r"""`from parquet.\`/data/x\``."""
    return len(parts) == 2 and parts[0].lower() in _FORMATS and "/" in parts[1]


SPARK = Dialect(
    "spark",
    quotes="``",
    is_file=_is_file,
    tokens=value("dialects.spark_tokens", "SPARK_TOKENS"),
    alias_follows=("sample",),
    moment="timestamp_ntz",
)
SPARK2 = replace(SPARK, name="spark2", offered=False)
DATABRICKS = replace(
    SPARK,
    name="databricks",
    system_catalogs=frozenset({"system"}),
    remote_functions=frozenset({"remote_query"}),
    colon_paths=True,
)
