"""The columns of an Iceberg table, as those of a stage, and the other way round.

Iceberg has no integers of less than 32 bits. All columns may hold NULL, as in a stage that begins
with the rows of the table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from typing import Any

import pyarrow as pa

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.spark.files import MARK

#: What is said of a column that is ours, and none that a query has returned.
MARKED = "added by dagster-models"
#: In the name of a type of Spark, but not the name of a field.
_SMALL = re.compile(r"(?<![^<:,])(?:tinyint|smallint)(?=[>,]|$)", re.I)


def widened(type_: str) -> str:
    """A type of Spark in which the table has the values of that type."""
    return _SMALL.sub("int", type_)


def of_delta(fields: Sequence[Any]) -> Any:
    """The schema, without ids, for columns as delta-rs has them; one column where there are none.
    Raises TypeError for a type that Iceberg does not have."""
    from deltalake import Schema
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.schema import Schema as IcebergSchema
    from pyiceberg.types import NestedField, StringType

    if not fields:
        return IcebergSchema(NestedField(1, "nothing_published", StringType(), required=False))
    arrow = pa.schema(Schema([*fields]).to_arrow())
    nullable = [pa.field(it.name, _nullable(it.type), True) for it in arrow]
    # No public function of pyiceberg 0.12 does this.
    known = _pyarrow_to_schema_without_ids(pa.schema(nullable))
    marked = {it.name for it in fields if MARK in it.metadata}
    return IcebergSchema(
        *(it.model_copy(update={"doc": MARKED}) if it.name in marked else it for it in known.fields)
    )


def delta_fields(schema: Any) -> list[Any]:
    """The columns as delta-rs has them."""
    from deltalake import Field, Schema
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    marked = {it.name for it in schema.fields if it.doc == MARKED}
    return [
        Field(it.name, it.type, nullable=True, metadata={MARK: True} if it.name in marked else {})
        for it in Schema.from_arrow(arrow).fields
    ]


def replace(transaction: Any, fields: Sequence[Any]) -> None:
    """Let the table have these columns, in this order. One of a name and type that the table has
    had is that column again, so that older snapshots show it."""
    from pyiceberg.schema import Schema, assign_fresh_schema_ids
    from pyiceberg.table.update import (
        AddSchemaUpdate,
        AssertCurrentSchemaId,
        SetCurrentSchemaUpdate,
    )

    metadata = transaction.table_metadata
    current = metadata.schema()
    schemas = [*(it for it in metadata.schemas if it is not current), current]
    numbers = count(metadata.last_column_id + 1)
    columns = []
    for it in of_delta(fields).fields:
        had = (old for schema in reversed(schemas) for old in schema.fields if _same(old, it))
        column = next(had, None)
        if column is None:
            (column,) = assign_fresh_schema_ids(Schema(it), lambda: next(numbers)).fields
        columns.append(column.model_copy(update={"doc": it.doc, "required": False}))
    new = Schema(*columns, schema_id=max(it.schema_id for it in schemas) + 1)
    if new == current:
        return
    known = next((it.schema_id for it in schemas if it == new), None)
    # ``update_schema`` gives each column that comes back another id.
    changes = (SetCurrentSchemaUpdate(schema_id=-1 if known is None else known),)
    added = (AddSchemaUpdate(schema=new),) if known is None else ()
    asked = (AssertCurrentSchemaId(current_schema_id=current.schema_id),)
    transaction._apply((*added, *changes), asked)


def name_mapping(metadata: Any) -> str:
    """Which column is meant by a name in a file, as JSON: the last one that had it."""
    from pyiceberg.schema import Schema

    schemas = (*metadata.schemas, metadata.schema())
    named = {column.name: column for schema in schemas for column in schema.fields}
    return str(Schema(*named.values()).name_mapping.model_dump_json())


def refuse_others(relation: Relation, there: Any, fields: Sequence[Any]) -> None:
    """Raise WarehouseError if rows with these columns cannot be added to the table."""
    old, new = {it.name: it for it in there.fields}, of_delta(fields).fields
    wrong = [it.name for it in new if it.name not in old or not _same(it, old[it.name])]
    if wrong:
        what = f"{relation}: the table has no column {', '.join(wrong)} of that name and type"
        raise WarehouseError(ErrorKind.BAD_COLUMN, what, name="SchemaMismatch")


def _same(one: Any, other: Any) -> bool:
    return bool(one.name == other.name and _plain(one) == _plain(other))


def _plain(field: Any) -> Any:
    """The field without what differs between two of the same name and type."""
    from pyiceberg.schema import Schema, assign_fresh_schema_ids

    alone = field.model_copy(update={"doc": None, "required": False})
    return assign_fresh_schema_ids(Schema(alone)).as_struct()


def _nullable(type_: Any) -> Any:
    """The type with every value inside of it but a map's keys nullable."""
    types = pa.types
    if types.is_struct(type_):
        fields = [type_.field(at) for at in range(type_.num_fields)]
        return pa.struct([pa.field(it.name, _nullable(it.type), True) for it in fields])
    if types.is_map(type_):
        key, item = _nullable(type_.key_type), _nullable(type_.item_type)
        return pa.map_(key, pa.field("value", item, True))
    if types.is_list(type_) or types.is_large_list(type_):
        return pa.list_(pa.field("element", _nullable(type_.value_type), True))
    return type_
