"""Amazon Redshift."""

from __future__ import annotations

import re

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.postgres_catalog import MORE_POSTGRES_TABLES, POSTGRES_TABLES

REDSHIFT = Dialect(
    "redshift",
    column=str.lower,
    system_schemas=frozenset({"pg_catalog", "pg_internal"}),
    system_tables=POSTGRES_TABLES | MORE_POSTGRES_TABLES,
    # What Redshift's own tables begin with, and some that have no such beginning.
    system_table=re.compile(
        r"(stv|stl|svv|svl|svcs)_|pg_table_def$|sys_(query|load|unload|copy|connection"
        r"|external_query|serverless|session|transaction|vacuum|analyze|procedure|stream|userlog"
        r"|mv|integration)_"
    ),
    star_behind_table=True,
    array_paths=True,
    arrays_before_tables=False,  # not known: the project decides
)
