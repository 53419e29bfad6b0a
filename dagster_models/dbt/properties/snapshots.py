"""dbt's keys of a snapshot -> ours, so that a table which dbt has begun goes on."""

from __future__ import annotations

import re

from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties.columns_of_key import columns_of_key
from dagster_models.dbt.properties.header import ImportedHeader, accepted
from dagster_models.project.config import valid_to_current

#: The keys of dbt that are read here.
KEYS = (
    *("strategy", "unique_key", "updated_at", "check_cols", "hard_deletes"),
    *("invalidate_hard_deletes", "dbt_valid_to_current", "snapshot_meta_column_names"),
    *("target_schema", "target_database", "on_schema_change", "incremental_strategy"),
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")


def snapshot_keys(header: ImportedHeader) -> None:
    strategy = header.setting("strategy")
    if strategy not in ("timestamp", "check"):
        header.refused.append(f"the strategy {strategy!r} of a snapshot is not known here")
        return
    key, is_expression = columns_of_key(header.setting("unique_key"))
    if not key:
        header.refused.append(f"the unique_key {header.setting('unique_key')!r} is an expression")
        return
    if is_expression:
        what = f"the unique_key joins columns, and is {list(key)} here: dbt_scd_id is another hash"
        header.remark(what, Weight.DIFFERS)
    header.values |= {"unique_key": key[0] if len(key) == 1 else list(key), "strategy": strategy}
    if strategy == "timestamp":
        _timestamp(header)
    else:
        _check(header)
    deletes = header.setting("hard_deletes")
    if deletes is None and header.setting("invalidate_hard_deletes"):
        deletes = "invalidate"
    if deletes not in (None, "ignore"):
        header.values["hard_deletes"] = deletes
    _own_columns(header, deletes == "new_record")
    _open_end(header)


def _timestamp(header: ImportedHeader) -> None:
    column, is_expression = columns_of_key(header.setting("updated_at"))
    if not column or is_expression:
        header.refused.append(f"`updated_at: {header.setting('updated_at')}` is an expression")
        return
    header.values["updated_at"] = column[0]


def _check(header: ImportedHeader) -> None:
    columns = header.setting("check_cols")
    if columns not in (None, "all"):
        found, _ = columns_of_key(columns)
        if not found:
            header.refused.append(f"`check_cols: {columns}` are expressions")
            return
        header.values["check_cols"] = list(found)
    if moment := header.setting("updated_at"):
        what = f"a version begins at the time of the build, and not at {moment}"
        header.remark(what, Weight.DIFFERS)


def _own_columns(header: ImportedHeader, keeps_deleted: bool) -> None:
    named = {k: v for k, v in header.mapping("snapshot_meta_column_names").items() if v}
    roles = ["scd_id", "updated_at", "valid_from", "valid_to"]
    roles += ["is_deleted"] if keeps_deleted else []
    names = {role: named.get(f"dbt_{role}", f"dbt_{role}") for role in roles}
    header.values["snapshot_meta_column_names"] = names
    if keeps_deleted:
        what = f"{names['is_deleted']} is a boolean, and a text 'True' or 'False' in dbt"
        header.remark(what, Weight.DIFFERS)


def _open_end(header: ImportedHeader) -> None:
    written = header.setting("dbt_valid_to_current")
    if written is None:
        return
    found = _DATE.findall(str(written))
    if len(found) == 1 and accepted(valid_to_current, found[0]):
        header.values["valid_to_current"] = found[0]
    else:
        header.refused.append(f"`dbt_valid_to_current: {written}` is no date of 2200 or later")
