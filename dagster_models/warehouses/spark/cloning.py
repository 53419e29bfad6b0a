"""A stage that begins with the rows of its relation: further names of the same files.

    <relation>/stage-<old>/part-1.parquet   <-- hard link --   <relation>/stage-<new>/kept-0.parquet

Spark changes the stage, a table of its own, and so writes only those files anew that it has to. The
commit of the relation then names the files of the stage, whichever they are: a file that stays has
only one more name. A file system without hard links gets copies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dagster_models.warehouses.spark.files import MARK, TableRows, delta_rows, translated

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.writing import Stage


def clone(
    rows: TableRows,
    stage: Stage,
    added: Sequence[tuple[str, Any]] = (),
    marks: Collection[str] = (),
) -> None:
    """Let the stage be a table with the rows of another one. *added*: (name, type) of columns that
    it has besides, NULL in each row; *marks*: columns to be known again."""
    from deltalake import Field, Schema
    from deltalake.transaction import create_table_with_add_actions

    with translated(stage.relation):
        # Spark takes a column without a NULL in its first build for one that must have none.
        fields = [
            Field(
                it.name,
                it.type,
                nullable=True,
                metadata={**it.metadata, **({MARK: True} if it.name in marks else {})},
            )
            for it in rows.fields
        ]
        fields += [Field(name, type_, nullable=True) for name, type_ in added]
        os.makedirs(stage.folder, exist_ok=True)
        actions = list(_linked(rows, stage.folder, "kept"))
        create_table_with_add_actions(
            stage.folder, Schema(fields), actions, "error", partition_by=[]
        )


def add_files(stage: Stage, of: Stage) -> None:
    """Add the rows of another stage, whose columns are among those of this one."""
    from deltalake import DeltaTable

    with translated(stage.relation):
        name = f"from-{of.folder_name}"
        actions = list(_linked(delta_rows(of.folder), stage.folder, name))
        if actions:
            table = DeltaTable(stage.folder)
            table.create_write_transaction(actions, "append", table.schema(), partition_by=[])


def types_of(stage: Stage) -> dict[str, Any]:
    """The columns of a stage, with their types as Delta has them."""
    from deltalake import DeltaTable

    with translated(stage.relation):
        return {it.name: it.type for it in DeltaTable(stage.folder).schema().fields}


def _linked(rows: TableRows, target: str, prefix: str) -> Iterator[Any]:
    from deltalake.transaction import AddAction

    for number, it in enumerate(rows.files):
        name = f"{prefix}-{number}.parquet"
        source, link = os.path.join(rows.folder, unquote(it["path"])), os.path.join(target, name)
        try:
            os.link(source, link)
        except OSError:
            shutil.copyfile(source, link)
        stats = it.get("stats") or "{}"
        yield AddAction(name, it["size"], {}, it["modificationTime"], True, stats)
