"""The SQL of a verification."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.target_types import TargetType
from dagster_models.dbt.project.manifest import DbtRelation
from dagster_models.sql.fill_in import quote

#: The database of a PostgreSQL server from which others are copied.
MAINTENANCE = "postgres"


def digests_query(relation: str, columns: Sequence[str], type_: TargetType) -> str:
    """One digest for each row, in their order. Two are equal if all values are, as their warehouse
    prints them. Digests have one order in each collation, and are short."""
    forms, texts = type_.value_forms, []
    for name in columns:
        printed = forms.of(f"verified.{quote(name, type_.dialect)}").printed
        size = f"cast(length({printed}) as {forms.text_type})"
        texts.append(f"coalesce({size} || ':' || {printed}, '~')")
    row = " || ".join(texts)
    return f"select md5({row}) as t from {relation} as verified order by 1"


def without_database(relation: DbtRelation) -> str:
    """A relation as dbt writes it, in whichever copy of the database."""
    written = relation.written or ""
    if name := relation.database:
        written = written.removeprefix(f'"{name}".').removeprefix(f"{name}.")
    return written


def copy_statement(database: str, copy: str, type_: TargetType) -> str:
    return f"create database {quote(copy, type_.dialect)} template {quote(database, type_.dialect)}"


def drop_statement(database: str, type_: TargetType) -> str:
    return f"drop database if exists {quote(database, type_.dialect)} with (force)"
