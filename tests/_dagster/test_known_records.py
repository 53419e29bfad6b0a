"""Records that the event log keeps in memory are those that it would read from its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster import DagsterEventType, DagsterInstance, EventLogEntry, deserialize_value

from dagster_models._dagster import known_records as module
from dagster_models._dagster.known_records import KnownRecords, known_records
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from event_logs import event, stock

ALPHA = dg.AssetKey("alpha")
COLUMNS = [dg.TableColumn("n", "int", "a number", tags={"of": "x"}), dg.TableColumn("m")]
SOURCES = {"n": [dg.TableColumnDep(ALPHA, "n")], "m": []}


@dg.asset(code_version="1")
def alpha() -> dg.MaterializeResult[Any]:
    """With metadata of all the kinds that a model has, and others."""
    return dg.MaterializeResult(
        metadata={
            "dagster/column_schema": dg.TableSchema(COLUMNS),
            "dagster/column_lineage": dg.TableColumnLineage(SOURCES),
            "dagster_models/compiled_sql": dg.MetadataValue.md("```sql\nselect 'é' as n\n```"),
            "dagster_models/seconds": 0.25,
            "dagster/row_count": 2**60,
            "deferred": {"a": "b", "c": [1, None, 2.5, (3, 4)]},
            "run": dg.MetadataValue.dagster_run("some-run"),
            "path": dg.MetadataValue.path(Path("/somewhere")),
            "none": None,
            "yes": True,
        },
        tags={"kind": "test"},
    )


@dg.asset(deps=[alpha])
def beta() -> None: ...


@pytest.fixture
def logged() -> list[EventLogEntry]:
    """The entries as a run itself has them, not as they are read from a file."""
    caught: list[EventLogEntry] = []
    with DagsterInstance.ephemeral() as instance:
        storage = instance.event_log_storage
        store = storage.store_event
        storage.store_event = lambda entry: (caught.append(entry), store(entry))  # type: ignore
        dg.materialize([alpha, beta], instance=instance)
    kind = DagsterEventType.ASSET_MATERIALIZATION
    return [entry for entry in caught if entry.dagster_event_type == kind]


def test_what_was_stored_equals_what_its_text_says(
    logged: list[EventLogEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_records, "_records", type(known_records._records)())
    pooled = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    for entry in logged:
        pooled.store_event(entry)
    keys = [ALPHA, dg.AssetKey("beta")]
    with monkeypatch.context() as patch:  # it reads no text
        patch.setattr(module, "deserialize_value", lambda text: pytest.fail("it was read"))
        found = pooled.get_asset_records(keys)
    assert found == stock(tmp_path / "runs").get_asset_records(keys)
    assert len(found) == 2
    with pooled.index_connection() as conn:
        select = sqlalchemy.text("select last_materialization from asset_keys")
        texts = [text for (text,) in conn.execute(select)]
    assert [known_records.record_of(text) for text in texts] == [
        deserialize_value(text) for text in texts
    ]
    pooled.dispose()


def test_what_another_process_has_stored_is_read(tmp_path: Path) -> None:
    pooled = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    pooled.store_event(event("run", 1, "alpha"))
    stock(tmp_path / "runs").store_event(event("other", 2, "alpha"))
    (record,) = pooled.get_asset_records([ALPHA])
    last = record.asset_entry.last_materialization_record
    assert last is not None
    assert last.event_log_entry == event("other", 2, "alpha")
    pooled.dispose()


def test_the_last_ones_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownRecords(most=2)
    records = {f"text {n}": dg.EventLogRecord(n, event("run", n)) for n in range(3)}
    for text, record in records.items():
        known.remember(text, record)
        known.record_of("text 0") if text == "text 1" else None  # now "text 1" is the oldest
    monkeypatch.setattr(module, "deserialize_value", lambda text: None)  # what has to be read
    kept = [text for text in records if known.record_of(text) is records[text]]
    assert kept == ["text 0", "text 2"]


@pytest.mark.parametrize("text", ["", None])
def test_no_text_is_no_record(text: str | None) -> None:
    assert KnownRecords().record_of(text) is None


def test_another_text_is_no_record() -> None:
    text = dg.serialize_value(dg.AssetMaterialization("alpha"))
    known = KnownRecords()
    assert known.record_of(text) is None
    assert not known._records
