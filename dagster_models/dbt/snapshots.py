"""dbt's keys of a snapshot -> ours, so that a table which dbt has begun goes on."""

from __future__ import annotations

import re

from dagster_models.dbt.columns_of_key import columns_of_key
from dagster_models.dbt.labels import accepted
from dagster_models.dbt.remarks import Weight
from dagster_models.dbt.saying import Saying
from dagster_models.project.config import valid_to_current

#: The keys of dbt that are read here.
KEYS = (
    *("strategy", "unique_key", "updated_at", "check_cols", "hard_deletes"),
    *("invalidate_hard_deletes", "dbt_valid_to_current", "snapshot_meta_column_names"),
    *("target_schema", "target_database", "on_schema_change", "incremental_strategy"),
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")


def snapshot_keys(said: Saying) -> None:
    strategy = said.setting("strategy")
    if strategy not in ("timestamp", "check"):
        said.refused.append(f"the strategy {strategy!r} of a snapshot is not known here")
        return
    key, is_expression = columns_of_key(said.setting("unique_key"))
    if not key:
        said.refused.append(f"the unique_key {said.setting('unique_key')!r} is an expression")
        return
    if is_expression:
        said.remark(f"the unique_key joins columns, and is {list(key)} here", Weight.NOTE)
    said.values |= {"unique_key": key[0] if len(key) == 1 else list(key), "strategy": strategy}
    if strategy == "timestamp":
        _timestamp(said)
    else:
        _check(said)
    deletes = said.setting("hard_deletes")
    if deletes is None and said.setting("invalidate_hard_deletes"):
        deletes = "invalidate"
    if deletes not in (None, "ignore"):
        said.values["hard_deletes"] = deletes
    _own_columns(said, deletes == "new_record")
    _open_end(said)


def _timestamp(said: Saying) -> None:
    column, is_expression = columns_of_key(said.setting("updated_at"))
    if not column or is_expression:
        said.refused.append(f"`updated_at: {said.setting('updated_at')}` is an expression")
        return
    said.values["updated_at"] = column[0]


def _check(said: Saying) -> None:
    columns = said.setting("check_cols")
    if columns not in (None, "all"):
        found, _ = columns_of_key(columns)
        if not found:
            said.refused.append(f"`check_cols: {columns}` are expressions")
            return
        said.values["check_cols"] = list(found)
    if said.setting("updated_at"):
        what = f"a version begins at the time of the build, and not at {said.setting('updated_at')}"
        said.remark(what, Weight.DIFFERS)


def _own_columns(said: Saying, has_marks: bool) -> None:
    named = {k: v for k, v in (said.setting("snapshot_meta_column_names") or {}).items() if v}
    roles = ("valid_from", "valid_to", *(("is_deleted",) if has_marks else ()))
    names = {role: named.get(f"dbt_{role}", f"dbt_{role}") for role in roles}
    said.values["snapshot_meta_column_names"] = names
    what = "new versions have no dbt_scd_id and dbt_updated_at: a key and its valid_from are enough"
    said.remark(what, Weight.DIFFERS)
    if has_marks:
        what = f"{names['is_deleted']} is a boolean, and a text 'True' or 'False' in dbt"
        said.remark(what, Weight.DIFFERS)


def _open_end(said: Saying) -> None:
    written = said.setting("dbt_valid_to_current")
    if written is None:
        return
    found = _DATE.findall(str(written))
    if len(found) == 1 and accepted(valid_to_current, found[0]):
        said.values["valid_to_current"] = found[0]
    else:
        said.refused.append(f"`dbt_valid_to_current: {written}` is no date of 2200 or later")
