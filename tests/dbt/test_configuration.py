"""A model's configuration in dbt becomes the keys of our header, or a remark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties import incremental, snapshots
from dagster_models.dbt.properties.configuration import header_of
from dagster_models.dbt.properties.header import ImportedHeader
from dbt_cases import Texts, manifest_of, step


def header(
    folder: Path, adapter: str = "duckdb", kind: str = "model", groups: Any = None, **given: Any
) -> ImportedHeader:
    texts = given.pop("texts", Texts())
    manifest = manifest_of(
        folder, step("orders", kind=kind, **given), adapter=adapter, groups=groups or {}
    )
    return header_of(manifest.nodes[f"{kind}.shop.orders"], manifest, texts, adapter)


def values(folder: Path, **given: Any) -> dict[str, Any]:
    found = header(folder, **given)
    assert not found.refused
    return dict(found.values)


INCREMENTAL = {"materialized": "incremental"}
#: Clauses of dbt-duckdb's merge.
BY_NAME = {"action": "update", "mode": "by_name"}
NEWER = "DBT_INTERNAL_SOURCE.a > DBT_INTERNAL_DEST.a"
EXPLICIT = {"action": "update", "mode": "explicit"}
ADD = {"action": "insert", "mode": "by_name"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"materialized": "table"}, {"materialized": "table"}),
        (INCREMENTAL, {"strategy": "append", "on_schema_change": "ignore"}),
        (
            {**INCREMENTAL, "unique_key": "id", "on_schema_change": "sync_all_columns"},
            {
                "strategy": "delete+insert",
                "unique_key": "id",
                "on_schema_change": "sync_all_columns",
            },
        ),
        (
            {**INCREMENTAL, "unique_key": ["a", '"B"'], "incremental_strategy": "merge"},
            {"strategy": "merge", "unique_key": ["a", "B"], "on_schema_change": "ignore"},
        ),
        (
            {**INCREMENTAL, "unique_key": "a || '-' || cast(b as varchar)"},
            {
                "strategy": "delete+insert",
                "unique_key": ["a", "b"],
                "on_schema_change": "ignore",
            },
        ),
        (
            {**INCREMENTAL, "unique_key": [], "full_refresh": False},
            {"full_refresh": False, "strategy": "append", "on_schema_change": "ignore"},
        ),
        (
            {
                **INCREMENTAL,
                "incremental_strategy": "insert_overwrite",
                "partition_by": {"field": "day", "data_type": "date"},
            },
            {"strategy": "delete+insert", "unique_key": "day", "on_schema_change": "ignore"},
        ),
    ],
)
def test_how_a_model_is_kept(tmp_path: Path, config: Any, expected: Any) -> None:
    expected = {"materialized": config["materialized"], **expected}
    assert values(tmp_path, config=config) == expected


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("merge_clauses", {"when_matched": [{"action": "delete"}]}),
        ("merge_clauses", {"when_matched": []}),
        ("merge_clauses", {"when_matched": [{"action": "update", "mode": "by_position"}]}),
        ("merge_clauses", {"when_matched": [{"action": "update", "mode": "by_name"}] * 2}),
        (
            "merge_clauses",
            {"when_matched": [{**EXPLICIT, "update": {"set_expressions": {"a": 1}}}]},
        ),
        ("merge_clauses", {"when_not_matched": [{"action": "do_nothing"}]}),
        ("merge_clauses", {"when_not_matched": [{**ADD, "by": "source"}]}),
        ("merge_clauses", "delete"),
        ("merge_update_condition", "a > 1"),  # of which row?
        ("merge_update_condition", "newer"),
        ("merge_update_condition", ["DBT_INTERNAL_SOURCE.a > 1"]),
        ("merge_insert_condition", "DBT_INTERNAL_DEST.a > 1"),
        ("merge_update_set_expressions", {"a": "a + 1"}),
    ],
)
def test_what_makes_another_merge_is_refused(tmp_path: Path, key: str, given: Any) -> None:
    config = {**INCREMENTAL, "unique_key": "id", key: given}
    merged = header(tmp_path, config={**config, "incremental_strategy": "merge"})
    assert [it.partition(":")[0] for it in merged.refused] == [f"`{key}"]
    other = header(tmp_path, config={**config, "incremental_strategy": "delete+insert"})
    assert not other.refused
    assert [it.what for it in other.remarks] == [
        f"`{key}` means nothing to the strategy delete+insert"
    ]


def test_a_column_alone_is_a_condition(tmp_path: Path) -> None:
    merge = {**INCREMENTAL, "unique_key": "id", "incremental_strategy": "merge"}
    found = header(tmp_path, config={**merge, "merge_insert_condition": "is_active"})
    assert not found.refused
    assert found.values["merge_insert_condition"] == "is_active"


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("merge_insert_condition", "a > 1"),
        ("merge_clauses", {"when_not_matched": [{**ADD, "condition": "x > 1"}]}),
        ("merge_clauses", {"when_not_matched": [{"action": "delete", "by": "source"}]}),
    ],
)
def test_a_merge_without_a_key_that_does_not_add_all_rows_is_refused(
    tmp_path: Path, key: str, given: Any
) -> None:
    merge = {**INCREMENTAL, "incremental_strategy": "merge"}
    assert header(tmp_path, config=merge).values["strategy"] == "append"
    assert not header(
        tmp_path, config={**merge, "merge_clauses": {"when_matched": [BY_NAME]}}
    ).refused
    found = header(tmp_path, config={**merge, key: given})
    assert [it.partition(":")[0] for it in found.refused] == [f"`{key}"]


@pytest.mark.parametrize(
    ("clauses", "written"),
    [
        ({"when_matched": [BY_NAME]}, {}),
        ({"when_matched": [BY_NAME], "when_not_matched": [ADD]}, {}),
        ({"when_matched": [EXPLICIT], "when_not_matched": [{**ADD, "by": "target"}]}, {}),
        ({"when_matched": [{"action": "do_nothing"}]}, {"merge_update_columns": ["id"]}),
        (
            {"when_matched": [{**EXPLICIT, "update": {"include": ["id", "a"], "exclude": []}}]},
            {"merge_update_columns": ["a"]},
        ),
        (
            {"when_matched": [{**EXPLICIT, "update": {"exclude": ["a"]}}]},
            {"merge_exclude_columns": ["a"]},
        ),
        (
            {"when_matched": [{**BY_NAME, "condition": NEWER}]},
            {"merge_update_condition": NEWER},
        ),
        (
            {
                "when_matched": [{**EXPLICIT, "update": {"include": ["a"]}, "condition": NEWER}],
                "when_not_matched": [{**ADD, "condition": ["b > 1 or c > 1", "c is null"]}],
            },
            {
                "merge_update_columns": ["a"],
                "merge_update_condition": NEWER,
                "merge_insert_condition": "(b > 1 or c > 1) AND (c is null)",
            },
        ),
    ],
)
def test_clauses_that_name_columns_and_rows(tmp_path: Path, clauses: Any, written: Any) -> None:
    merge = {**INCREMENTAL, "unique_key": "id", "incremental_strategy": "merge"}
    found = header(tmp_path, config={**merge, "merge_clauses": clauses})
    assert not found.refused
    assert not found.remarks
    assert {k: v for k, v in found.values.items() if k.startswith("merge_")} == written
    both = header(tmp_path, config={**merge, "merge_clauses": clauses, "merge_update_columns": "b"})
    assert both.refused  # as in dbt


def test_the_columns_that_a_merge_joins_on_are_its_key(tmp_path: Path) -> None:
    merge = {**INCREMENTAL, "incremental_strategy": "merge", "merge_returning_columns": ["id"]}
    merge |= {"merge_on_using_columns": ["a", "b"]}
    for key in ({}, {"unique_key": "id"}):
        found = header(tmp_path, config={**merge, **key})
        assert not found.refused
        assert (found.values["strategy"], found.values["unique_key"]) == ("merge", ["a", "b"])
        assert [it.weight for it in found.remarks] == [Weight.NOTE]
    narrowed = header(tmp_path, config={**merge, "incremental_predicates": ["a > 1"]})
    assert ["USING and ON" in it for it in narrowed.refused] == [True]


def test_the_default_strategy_is_that_of_the_adapter(tmp_path: Path) -> None:
    config = {**INCREMENTAL, "unique_key": "id"}
    assert values(tmp_path, config=config, adapter="postgres")["strategy"] == "delete+insert"
    assert values(tmp_path, config=config, adapter="snowflake")["strategy"] == "merge"


@pytest.mark.parametrize(
    ("size", "begin", "name", "set_"),
    [
        ("day", "2024-01-05T00:00:00", "days_from_2024_01_05", {"every": "day"}),
        ("month", "2024-01-05", "months_from_2024_01_01", {"every": "month"}),
        ("year", "2024-03-05", "years_from_2024_01_01", {"cron": "0 0 1 1 *"}),
        ("hour", "2024-01-05T03:30:00", "hours_from_2024_01_05_03", {"every": "hour"}),
    ],
)
def test_microbatch_is_partitions(
    tmp_path: Path, size: str, begin: str, name: str, set_: Any
) -> None:
    config = {
        **INCREMENTAL,
        "incremental_strategy": "microbatch",
        "event_time": "at",
        "batch_size": size,
        "begin": begin,
    }
    found = header(tmp_path, config=config)
    assert found.values["partitions"] == {"of": name, "by": "at"}
    assert found.values["batch"] == 1
    assert {k: v for k, v in found.partitions[name].items() if k != "start"} == set_
    assert name.split("_", 2)[2] in f"{found.partitions[name]['start']:%Y_%m_%d_%H}"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"merge_update_columns": ["status"]}, {"merge_update_columns": ["status"]}),
        # Only new rows are written: without a column, all would be.
        ({"merge_update_columns": ["id"]}, {"merge_update_columns": ["id"]}),
        ({"merge_exclude_columns": "at"}, {"merge_exclude_columns": ["at"]}),
        ({"merge_exclude_columns": ["ID", "at"]}, {"merge_exclude_columns": ["at"]}),
        ({"merge_exclude_columns": ["id"]}, {}),
        ({"merge_update_columns": ["ID", "at"]}, {"merge_update_columns": ["at"]}),
    ],
)
def test_the_columns_that_a_merge_writes(tmp_path: Path, given: Any, written: Any) -> None:
    merge = {**INCREMENTAL, "unique_key": "id", "incremental_strategy": "merge"}
    found = header(tmp_path, config={**merge, **given})
    assert not found.refused
    assert {k: v for k, v in found.values.items() if k.startswith("merge_")} == written
    other = header(tmp_path, config={**merge, **given, "incremental_strategy": "delete+insert"})
    assert not any(k.startswith("merge_") for k in other.values)
    assert "means nothing to the strategy delete+insert" in other.remarks[0].what


ODD = [True, 3, 2.5, "x", ["x", 3], [{"a": 1}], {"a": 1}, {"a": True}, [["x"]]]


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({**INCREMENTAL, "unique_key": "id"}, incremental.KEYS),
        ({**INCREMENTAL, "unique_key": "id", "incremental_strategy": "merge"}, incremental.KEYS),
        ({**INCREMENTAL, "incremental_strategy": "microbatch"}, incremental.KEYS),
        ({**INCREMENTAL, "incremental_strategy": "insert_overwrite"}, ("partition_by",)),
        ({"materialized": "table"}, ("indexes", "grants", "persist_docs", "contract")),
        (
            {"materialized": "snapshot", "strategy": "check", "unique_key": "id"},
            snapshots.KEYS,
        ),
    ],
    ids=["delete+insert", "merge", "microbatch", "insert_overwrite", "table", "snapshot"],
)
def test_a_value_of_any_type_ends_no_import(tmp_path: Path, config: Any, keys: Any) -> None:
    kind = "snapshot" if config["materialized"] == "snapshot" else "model"
    for key in keys:
        for value in ODD:
            found = header(tmp_path, "postgres", kind, config={**config, key: value})
            assert found.values["materialized"] == config["materialized"], (key, value)


@pytest.mark.parametrize("given", [True, 3, ["a", 3], {"a": 1}])
@pytest.mark.parametrize("key", ["merge_update_columns", "merge_exclude_columns"])
def test_what_is_no_list_of_columns_is_refused(tmp_path: Path, key: str, given: Any) -> None:
    merge = {**INCREMENTAL, "unique_key": "id", "incremental_strategy": "merge"}
    assert header(tmp_path, config={**merge, key: given}).refused == [
        f"`{key}: {given}` is no name of a column, and no list of names"
    ]


@pytest.mark.parametrize("key", ["incremental_predicates", "predicates"])
@pytest.mark.parametrize(
    ("config", "written"),
    [
        ({}, ["day > 1", "DBT_INTERNAL_DEST.x > 2"]),
        ({"incremental_strategy": "merge"}, ["DBT_INTERNAL_SOURCE.day > DBT_INTERNAL_DEST.day"]),
    ],
)
def test_the_rows_that_a_build_replaces(
    tmp_path: Path, key: str, config: Any, written: list[str]
) -> None:
    keyed = {**INCREMENTAL, "unique_key": "id", **config}
    found = header(tmp_path, config={**keyed, key: written})
    assert (found.values["incremental_predicates"], found.remarks) == (written, [])
    found = header(tmp_path, config={**keyed, key: written[0]})
    assert found.values["incremental_predicates"] == written[:1]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({**INCREMENTAL, "unique_key": "lower(id)"}, "is an expression"),
        ({**INCREMENTAL, "incremental_strategy": "mine"}, "the strategy 'mine' is not known"),
        (
            {
                **INCREMENTAL,
                "incremental_strategy": "insert_overwrite",
                "partition_by": {"field": "at", "data_type": "timestamp", "granularity": "day"},
            },
            "replaces partitions by",
        ),
        ({"materialized": "my_kind"}, "`materialized: my_kind` is not known"),
        ({**INCREMENTAL, "incremental_strategy": "microbatch"}, "microbatch without"),
    ],
)
def test_what_would_make_other_rows_is_refused(tmp_path: Path, config: Any, why: str) -> None:
    (reason,) = header(tmp_path, config=config).refused
    assert why in reason


@pytest.mark.parametrize(
    ("config", "what", "weight"),
    [
        ({"transient": False}, "`transient: False` has no counterpart", Weight.LEFT_OUT),
        ({"cluster_by": ["id"]}, "`cluster_by: ['id']`", Weight.LEFT_OUT),
        ({"sql_header": "set x = 1"}, "`sql_header: set x = 1`", Weight.DIFFERS),
        ({"materialized": "materialized_view"}, "which each build replaces", Weight.NOTE),
        ({"grants": {"select": ["bi"]}}, "DuckDB has no roles", Weight.NOTE),
        (
            {**INCREMENTAL, "unique_key": "id", "incremental_predicates": ["dynamic_range"]},
            "a name that a macro of the project may read, and no condition: all rows of the table",
            Weight.DIFFERS,
        ),
        (
            {**INCREMENTAL, "unique_key": "id", "predicates": True},
            "`predicates: True`: `True` is a name",
            Weight.DIFFERS,
        ),
        (
            {
                **INCREMENTAL,
                "unique_key": "id",
                "predicates": "DBT_INTERNAL_SOURCE.day > DBT_INTERNAL_DEST.day",
            },
            "it asks for the new row: all rows of the table",
            Weight.DIFFERS,
        ),
    ],
)
def test_a_key_without_a_counterpart_is_remarked(
    tmp_path: Path, config: Any, what: str, weight: Weight
) -> None:
    (remark,) = header(tmp_path, config=config).remarks
    assert what in remark.what
    assert (remark.weight, remark.of) == (weight, "model.shop.orders")


def test_what_the_written_target_cannot_have_is_left_out_whatever_dbts_adapter_can(
    tmp_path: Path,
) -> None:
    config = {
        "materialized": "table",
        "grants": {"select": ["bi"]},
        "indexes": [{"columns": ["id"], "type": "hash"}],
    }
    found = header(tmp_path, adapter="snowflake", config=config)
    assert "grants" not in found.values
    assert found.values["indexes"] == [{"columns": ["id"]}]
    (remark,) = found.remarks
    assert remark.what == "`grants: {'select': ['bi']}`: DuckDB has no roles"
    assert remark.weight is Weight.LEFT_OUT


def test_labels(tmp_path: Path) -> None:
    owner = {"name": "Finance", "email": "fin@example.org"}
    found = header(
        tmp_path,
        tags=["nightly", "has pii", "k:v"],
        meta={"rows": 1, "dagster": {"owners": ["team:x"], "asset_key": ["a"]}},
        group="fin team",
        access="private",
        description=" One row. \n",
        groups={"group.shop.fin": {"name": "fin team", "owner": owner}},
    )
    assert {k: v for k, v in found.values.items() if k not in ("materialized", "meta")} == {
        "description": "One row.",
        "tags": ["nightly", "has_pii", "k_v"],
        "group": "fin_team",
        "owner": "team:x",
    }
    assert found.values["meta"]["access"] == "private"
    assert len(found.remarks) == 4


def test_columns_contract_docs_and_extras(tmp_path: Path) -> None:
    columns = {
        "id": {"name": "id", "data_type": "integer", "description": "its number"},
        "Odd Name": {"name": "Odd Name", "meta": {"pii": True}},
    }
    found = header(
        tmp_path,
        adapter="postgres",
        columns=columns,
        config={
            "materialized": "table",
            "contract": {"enforced": True, "alias_types": True},
            "persist_docs": {"relation": True, "columns": True},
            "grants": {"select": ["bi"], "insert": "etl"},
            "indexes": [{"columns": ["id"], "type": "hash", "unique": False}],
        },
    )
    assert found.values == {
        "materialized": "table",
        "persist_docs": {"relation": True, "columns": True},
        "grants": {"select": ["bi"], "insert": ["etl"]},
        "indexes": [{"columns": ["id"], "type": "hash"}],
        "contract": True,
        "columns": {"id": {"description": "its number", "type": "integer"}, "Odd Name": {}},
    }
    assert [it.what for it in found.remarks] == ["the meta of the column Odd Name"]


def test_an_index_is_listed_once(tmp_path: Path) -> None:
    """dbt takes one twice, and DuckDB has one type of them."""
    listed = [{"columns": ["id"]}, {"columns": ["id"], "type": "hash"}, {"columns": ["at"]}]
    config = {"materialized": "table", "indexes": listed}
    assert header(tmp_path, config=config).values["indexes"] == [
        {"columns": ["id"]},
        {"columns": ["at"]},
    ]


def test_hooks_are_statements_or_remarks(tmp_path: Path) -> None:
    hooks = [
        {"sql": "delete from {{ this }} where id = 1;", "transaction": True},
        {"sql": "vacuum {{ this }}", "transaction": False},
        {"sql": "{{ audit() }}", "transaction": True},
        {"sql": "{{ nothing() }}", "transaction": True},
        {"sql": "{{ unknown() }}", "transaction": True},
        {"sql": "vacuum", "transaction": True},
    ]
    texts = Texts(**{"{{ audit() }}": "insert into audit select 1", "{{ nothing() }}": " "})
    found = header(tmp_path, config={"post-hook": hooks}, texts=texts)
    assert found.values["post_statements"] == [
        "delete from $this where id = 1",
        "insert into audit select 1",
    ]
    reasons = [it.what.partition("`")[2].partition("`")[2] for it in found.remarks]
    assert reasons[0] == " runs outside of the transaction"
    assert reasons[1] == ": it needs the warehouse"
    assert "is not known to be undone" in reasons[2]


SNAPSHOT = {"materialized": "snapshot", "unique_key": "id"}
_META = {
    "scd_id": "dbt_scd_id",
    "updated_at": "dbt_updated_at",
    "valid_from": "dbt_valid_from",
    "valid_to": "dbt_valid_to",
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"strategy": "timestamp", "updated_at": "at", "invalidate_hard_deletes": True},
            {"updated_at": "at", "hard_deletes": "invalidate"},
        ),
        ({"strategy": "check", "check_cols": "all", "hard_deletes": "ignore"}, {}),
        ({"strategy": "check", "check_cols": ["a", "b"]}, {"check_cols": ["a", "b"]}),
        (
            {"strategy": "check", "check_cols": "all", "dbt_valid_to_current": "date '9999-12-31'"},
            {"valid_to_current": "9999-12-31"},
        ),
    ],
)
def test_snapshots_keep_the_names_of_dbt(tmp_path: Path, config: Any, expected: Any) -> None:
    found = values(tmp_path, kind="snapshot", config={**SNAPSHOT, **config})
    assert found.pop("snapshot_meta_column_names") == _META
    assert found == {
        "materialized": "snapshot",
        "unique_key": "id",
        "strategy": config["strategy"],
        **expected,
    }


@pytest.mark.parametrize(
    "config",
    [
        {"strategy": "mine"},
        {"strategy": "check", "unique_key": "md5(id)"},
        {"strategy": "timestamp", "updated_at": "coalesce(a, b)"},
        {"strategy": "check", "dbt_valid_to_current": "current_date"},
    ],
)
def test_a_snapshot_that_cannot_go_on_is_refused(tmp_path: Path, config: Any) -> None:
    assert header(tmp_path, kind="snapshot", config={**SNAPSHOT, **config}).refused


def test_a_snapshot_marks_rows_by_the_name_that_somebody_has_chosen(tmp_path: Path) -> None:
    names = {"dbt_valid_to": "until", "dbt_is_deleted": None, "dbt_scd_id": None}
    config = {**SNAPSHOT, "strategy": "check", "hard_deletes": "new_record"}
    config["snapshot_meta_column_names"] = names
    found = header(tmp_path, kind="snapshot", config=config)
    assert found.values["snapshot_meta_column_names"] == {
        **_META,
        "valid_to": "until",
        "is_deleted": "dbt_is_deleted",
    }
    assert [it.weight for it in found.remarks] == [Weight.DIFFERS]
