"""What only Spark does: the log of a table as the record, on a real server (Sail)."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dagster_models.core.extras import Extras, Index, UserStatement
from dagster_models.core.materializations import Custom, Incremental, View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark import text
from dagster_models.warehouses.spark.delta_log import DeltaLog
from dagster_models.warehouses.spark.errors import convert
from dagster_models.warehouses.spark.files import delta_rows, live_files
from dagster_models.warehouses.spark.iceberg_log import IcebergLog
from dagster_models.warehouses.spark.table_log import TableLog
from dagster_models.warehouses.spark.target import SPARK
from dagster_models.warehouses.spark.text import lone_names
from sail_server import SailServer, start_sail
from systems import (
    T,
    catalog_at,
    commits_at,
    create,
    given_up,
    session_of,
)
from tasks import sql_task

LOGS: dict[str, type[TableLog]] = {"delta": DeltaLog, "iceberg": IcebergLog}
TASK = sql_task("s.t", "select 'new' as n", builder="b")


@pytest.fixture
def log(settings: dict[str, Any]) -> type[TableLog]:
    return LOGS[settings.get("format", "delta")]


def files(location: str) -> set[str]:
    return {str(it.relative_to(location)) for it in Path(location).rglob("*.parquet")}


def test_data_and_proof_are_in_one_commit_which_names_only_the_new_files(
    session: spark.SparkSession, location: str
) -> None:
    create(session, "table", "select 'old' as n")
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    if catalog := catalog_at(location):
        table = catalog.load_table("s.t")
        said = table.current_snapshot().summary
        (proof,) = json.loads(said["dagster_models"])["commits"]
        assert (proof["run_id"], proof["step"], proof["rows"]) == ("r", "s.t", 1)
        assert (said["added-data-files"], said["deleted-data-files"]) == ("1", "1")
        assert table.scan().to_arrow().to_pylist() == [{"n": "new"}]
        assert [it.sequence_number for it in table.snapshots()] == [1, 2]
        return
    log = Path(location, "s/t/_delta_log/00000000000000000001.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    info = next(it["commitInfo"] for it in actions if "commitInfo" in it)
    (proof,) = json.loads(info["userMetadata"])["commits"]
    assert (proof["run_id"], proof["step"], proof["attempt"], proof["rows"]) == ("r", "s.t", 1, 1)
    assert len([it for it in actions if "add" in it]) == 1
    assert len([it for it in actions if "remove" in it]) == 1


def test_a_build_that_is_not_published_leaves_nothing(
    session: spark.SparkSession, location: str
) -> None:
    create(session, "table", "select 'old' as n")
    before = files(location)
    session.build(TASK)
    assert files(location) > before
    session.discard()
    assert files(location) == before
    assert run(session, sql_task("s.t", "select cast('x' as int)"), Stop()).error is not None
    assert files(location) == before
    assert len(commits_at(location)) == 1


def test_types_that_the_old_table_has_no_feature_for(session: spark.SparkSession) -> None:
    """delta-rs would commit a table that nobody can read any more."""
    create(session, "table", "select 1 as n")
    create(session, "table", "select timestamp_ntz'2020-01-01 00:00:00' as n")
    create(session, "table", "select 2 as n")
    assert session.query("select n from s.t")[1] == [(2,)]


@pytest.mark.parametrize("is_there", [True, False])
def test_another_writer_is_a_conflict_and_the_build_is_tried_again(
    warehouse: spark.Spark,
    session: spark.SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    is_there: bool,
) -> None:
    if is_there:
        create(session, "table", "select 'old' as n")
    refuse, overtaken = TableLog.refuse_second, [False]

    def overtake(self: TableLog, *arguments: Any) -> None:
        """The log was read, and nothing is committed yet."""
        if not overtaken[0]:
            overtaken[0] = True
            with session_of(warehouse) as other:
                create(other, "table", "select 'theirs' as n")
        refuse(self, *arguments)

    monkeypatch.setattr(TableLog, "refuse_second", overtake)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [("new",)]
    steps = [
        said["commits"][0]["run_id"] for _, _, _, said in commits_at(warehouse.location.folder)
    ]
    assert steps == [*(["c"] if is_there else []), "c", "r"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_session_that_was_given_up_cannot_publish(
    warehouse: spark.Spark, session: spark.SparkSession, location: str, is_there: bool
) -> None:
    """The process that settles does not have it: it may be on another machine, and alive."""
    if is_there:
        create(session, "table", "select 'old' as n")
    refused = pytest.raises(WarehouseError, match="given up by another process")
    with given_up(warehouse, session, TASK) as (lost, staged), refused:
        lost.publish(staged, commits_of(TASK, staged))
    assert find_proof(session, T, TASK.id) is None
    assert session.there([T]) == [T] * is_there
    if is_there:
        assert session.query("select n from s.t")[1] == [("old",)]
    assert (session.built_by("b"), len(session.last_proofs())) == ([], int(is_there))
    assert run(session, replace(TASK, attempt=2), Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [("new",)]


def test_a_fence_that_cannot_be_committed_says_so(
    session: spark.SparkSession, log: type[TableLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    create(session, "table", "select 'old' as n")

    def overtaken(self: TableLog, session: str) -> None:
        raise WarehouseError(ErrorKind.CONFLICT, "written at the same moment", transient=True)

    monkeypatch.setattr(log, "fence", overtaken)
    assert not session.fence("lost", 0.1, T)


@pytest.mark.parametrize("is_made", [True, False])
def test_a_commit_that_ends_in_an_error_keeps_its_files(
    session: spark.SparkSession,
    location: str,
    log: type[TableLog],
    monkeypatch: pytest.MonkeyPatch,
    is_made: bool,
) -> None:
    """As when delta-rs has committed, and then finds no room for a checkpoint."""
    create(session, "table", "select 'old' as n")
    before, publish = files(location), log.publish

    def fail(*arguments: Any) -> None:
        if is_made:
            publish(*arguments)
        raise WarehouseError(ErrorKind.IO, "no space left on the device")

    monkeypatch.setattr(log, "publish", fail)
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is (Verdict.COMMITTED if is_made else Verdict.ROLLED_BACK)
    assert session.query("select n from s.t")[1] == [("new" if is_made else "old",)]
    assert (files(location) > before) is is_made


def test_a_server_that_was_restarted_knows_the_relations(settings: dict[str, Any]) -> None:
    server = start_sail()  # one of its own
    try:
        warehouse = spark.connect({**settings, **server.settings})
        with session_of(warehouse) as session:
            session.prepare(["s"])
            create(session, "table", "select 1 as n")
            create(session, "view", "select n + 1 as n from s.t", Relation("s", "v"))
            server.kill()
            with pytest.raises(WarehouseError) as caught:
                session.query("select 1")
            assert (caught.value.kind, caught.value.transient) == (ErrorKind.UNREACHABLE, True)
            server.restart()
            assert session.query("select n from s.v")[1] == [(2,)]
        warehouse.close()
    finally:
        server.stop()


@pytest.mark.parametrize("rehearses", [False, True])
def test_a_session_that_the_server_has_forgotten_is_begun_anew(
    sail: SailServer, location: str, rehearses: bool
) -> None:
    """As after a Python model of twenty minutes. Sail takes no id again of one that was idle."""
    server = start_sail(session_seconds=1)  # one of its own
    try:
        warehouse = spark.connect({**server.settings, "location": location})
        with session_of(warehouse) as session:
            session.prepare(["s"])
            create(session, "table", "select 1 as n")
            server.wait_until_said("removing idle session")
            if rehearses:
                session.begin_rehearsal()
                session.rehearse(sql_task("unit_test_s.t", "select 2 as n"))
                session.rollback()
            assert session.query("select n from s.t")[1] == [(1,)]
        warehouse.close()
    finally:
        server.stop()


STATEMENT = UserStatement("select 1", "pre_statements", "", 1)
LACKING = {
    "statements": replace(TASK, extras=Extras(before=(STATEMENT,))),
    "grants": replace(TASK, extras=Extras(grants={"select": ("somebody",)})),
    "indexes": replace(TASK, extras=Extras(indexes=(Index(("n",)),))),
    "merge_columns": replace(
        TASK, materialization=Incremental("merge", ("n",), merge_exclude_columns=("v",))
    ),
    "predicates": replace(
        TASK, materialization=Incremental("merge", ("n",), incremental_predicates=("t.n > 1",))
    ),
}


def test_all_that_it_lacks_is_known() -> None:
    assert {*LACKING, "custom"} == SPARK.lacks.keys()


@pytest.mark.parametrize("what", LACKING)
def test_what_it_lacks_is_refused_with_the_reason(session: spark.SparkSession, what: str) -> None:
    create(session, "table", "select 'old' as n")
    outcome = run(session, LACKING[what], Stop())
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.UNSUPPORTED
    assert SPARK.lacks[what] in outcome.error.message
    assert session.query("select n from s.t")[1] == [("old",)]


def test_code_of_the_project_that_builds_is_refused_before_it_is_called(
    session: spark.SparkSession,
) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.read_before(T, Custom("theirs", {}))
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert SPARK.lacks["custom"] in caught.value.message


def test_sail_makes_no_functions(session: spark.SparkSession, way: str) -> None:
    """If this fails, functions can perhaps be had."""
    if way == "apache":
        pytest.skip("Spark's own server makes functions")
    for words in ("function", "temporary function", "or replace function"):
        with pytest.raises(WarehouseError) as caught:
            session.execute(f"create {words} twice(x int) returns int return x * 2")
        assert "found function" in caught.value.message


def test_names_that_no_folder_can_have_are_refused(session: spark.SparkSession) -> None:
    for name in ("a/b", "..", "ä", "a b"):
        with pytest.raises(WarehouseError, match="cannot be the name"):
            create(session, "table", "select 1 as n", Relation("s", name))


def test_a_relation_is_dropped_unless_somebody_else_has_written_to_it(
    session: spark.SparkSession, location: str, tmp_path: Path
) -> None:
    run(session, TASK, Stop())
    table = pa.table({"n": ["theirs"]})
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    session.load(path, "s.t", "append")
    assert [it.kept != "" for it in session.built_by("b")] == [True]
    with pytest.raises(WarehouseError, match="is kept"):
        session.drop(T, "b")
    run(session, replace(TASK, attempt=2), Stop())
    session.drop(T, "b")
    assert session.there([T]) == []
    assert session.last_proofs() == []
    assert not Path(location, "s/t").exists()
    assert run(session, replace(TASK, attempt=3), Stop()).verdict is Verdict.COMMITTED


def test_a_relation_that_is_built_while_it_is_dropped_keeps_what_the_build_has_written(
    warehouse: spark.Spark, session: spark.SparkSession, location: str
) -> None:
    run(session, TASK, Stop())
    before = files(location)
    with contextlib.closing(warehouse.session("other")) as other:
        task = replace(TASK, attempt=2)
        staged = other.build(task)
        session.drop(T, "b")
        assert session.there([T]) == []
        assert not before & files(location)
        other.publish(staged, commits_of(task, staged))
    assert session.query("select n from s.t")[1] == [("new",)]
    assert session.last_proofs()[0].attempt == 2


def test_a_table_that_others_have_dropped_and_built_again_has_their_proofs(
    session: spark.SparkSession, settings: dict[str, Any], location: str
) -> None:
    """The versions of its log begin with 0 once more."""
    run(session, TASK, Stop())
    assert session.last_proofs()[0].attempt == 1
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        other.drop(T, "b")
        assert run(other, replace(TASK, attempt=2), Stop()).verdict is Verdict.COMMITTED
    assert [it.attempt for it in session.last_proofs()] == [2]
    assert find_proof(session, T, TASK.id) is None


def test_a_table_of_somebody_else_is_not_hidden(
    session: spark.SparkSession, tmp_path: Path
) -> None:
    session.execute("create table s.t as select 'theirs' as n")
    error = run(session, TASK, Stop()).error
    assert error is not None
    assert (error.kind, error.name) == (ErrorKind.NOT_KEPT, "ForeignRelation")
    table = pa.table({"n": ["ours"]})
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    with pytest.raises(WarehouseError, match=r"Spark has a relation s\.t"):
        session.load(path, "s.t", "replace")
    assert session.query("select n from s.t")[1] == [("theirs",)]
    assert session.last_proofs() == []


@pytest.mark.parametrize(
    "value", ["it's", "back\\slash", 'say "x"', "a;b", "-- no comment", "`", "\n", "名"]
)
def test_a_literal_is_the_text(session: spark.SparkSession, value: str) -> None:
    sql = f"select {text.literal(value)} as n /* ; ' */ -- ; \""
    assert session.query(sql)[1] == [(value,)]
    assert session.count(sql) == 1
    outcome = run(session, replace(TASK, content=Query(sql)), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [(value,)]


def test_a_line_in_the_text_of_a_view_is_none_of_the_statement() -> None:
    error = convert(ValueError("no viable alternative (line 7, pos 1)"), "select *\nfrom s.v")
    assert (error.line, error.message) == (None, "no viable alternative (line 7, pos 1)")
    error = convert(ValueError("no viable alternative (line 2, pos 1)"), "select *\nfrom s.v")
    assert (error.line, error.message.splitlines()[-1]) == (2, "LINE 2: from s.v")


VECTOR = {"storageType": "u", "pathOrInlineDv": "ab", "offset": 1, "sizeInBytes": 36}


@pytest.mark.parametrize("order", ["add first", "remove first"])
def test_a_file_whose_rows_a_deletion_vector_deletes_is_no_file_of_a_stage(
    tmp_path: Path, order: str
) -> None:
    """One commit removes the file and adds it again, in either order."""
    write_deltalake(str(tmp_path), pa.table({"n": [1, 2]}))
    (added,) = live_files(str(tmp_path))
    vector = {"add": {**added, "deletionVector": {**VECTOR, "cardinality": 1}}}
    actions = [{"remove": {"path": added["path"], "dataChange": True}}, vector]
    lines = actions if order == "remove first" else actions[::-1]
    log = tmp_path / "_delta_log" / f"{1:020d}.json"
    log.write_text("\n".join(map(json.dumps, lines)))
    assert live_files(str(tmp_path)) == [vector["add"]]
    with pytest.raises(WarehouseError, match="deletion vectors") as caught:
        delta_rows(str(tmp_path))
    assert caught.value.name == "ForeignFiles"
    assert len(delta_rows(str(tmp_path), 0).files) == 1


def test_a_partitioned_table_and_one_with_column_mapping_are_no_stages(tmp_path: Path) -> None:
    rows = pa.table({"n": [1, 2], "d": ["a", "b"]})
    write_deltalake(f"{tmp_path}/p", rows, partition_by=["d"])
    with pytest.raises(WarehouseError, match="partitioned"):
        delta_rows(f"{tmp_path}/p")
    write_deltalake(f"{tmp_path}/m", rows)
    first = tmp_path / "m" / "_delta_log" / f"{0:020d}.json"
    plain, mapped = '"configuration":{}', '"configuration":{"delta.columnMapping.mode":"name"}'
    assert plain in first.read_text()
    first.write_text(first.read_text().replace(plain, mapped))
    with pytest.raises(WarehouseError, match="column mapping"):
        delta_rows(f"{tmp_path}/m")


class TaskFailed(Exception):
    """What Spark's own server answers where a row cannot be written: the reason is a cause."""

    def __init__(self, causes: str) -> None:
        super().__init__(
            f"[TASK_WRITE_FAILED] Task failed. SQLSTATE: 58030\n\nJVM stacktrace:{causes}"
        )

    def getCondition(self) -> str:
        return "TASK_WRITE_FAILED"

    def getSqlState(self) -> str:
        return "58030"

    def getMessage(self) -> str:
        return "[TASK_WRITE_FAILED] Task failed while writing rows to file:/t. SQLSTATE: 58030"


@pytest.mark.parametrize(
    ("causes", "kind", "name", "line"),
    [
        (
            "\nCaused by: a.B: [OTHER] No. SQLSTATE: 42601\n\tat x.Y(Z.scala:1)"
            "\nCaused by: a.C: [CAST_INVALID_INPUT] The value 'x'\nis bad. SQLSTATE: 22018"
            "\n== SQL (line 3, position 2) ==\n cast(n as int)\n ^^^^\n\n\tat x.Y(Z.scala:2)",
            ErrorKind.BAD_VALUE,
            "CAST_INVALID_INPUT",
            2,
        ),
        (
            "\nCaused by: a.C: [DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012"
            "\n== SQL of VIEW s.v (line 3, position 2) ==\n 1 / 0",
            ErrorKind.BAD_VALUE,
            "DIVIDE_BY_ZERO",
            None,
        ),
        ("\nCaused by: java.io.IOException: no space", ErrorKind.OTHER, "TASK_WRITE_FAILED", None),
    ],
)
def test_the_cause_of_a_task_that_has_failed_is_the_error(
    causes: str, kind: ErrorKind, name: str, line: int | None
) -> None:
    error = convert(TaskFailed(causes), "create table t as\nselect\n cast(n as int) from v", 1)
    assert (error.kind, error.name, error.line) == (kind, name, line)
    assert error.message.startswith(f"[{name}] ")
    assert "Caused by" not in error.message


def test_a_location_that_the_server_has_elsewhere(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(session, TASK, Stop())
    change = spark.SparkSession.change

    def written_elsewhere(self: spark.SparkSession, sql: str, *arguments: int) -> None:
        change(self, sql, *arguments)
        if self.stage is not None and self.stage.folder in sql:
            self.stage.remove()

    monkeypatch.setattr(spark.SparkSession, "change", written_elsewhere)
    error = run(session, replace(TASK, attempt=2), Stop()).error
    assert error is not None
    assert (error.kind, error.name) == (ErrorKind.INVALID_SETTINGS, "LocationNotShared")


def test_settings_that_lead_nowhere(sail: SailServer) -> None:
    for location in ("", "relative", "s3://bucket/x"):
        with pytest.raises(WarehouseError) as caught:
            spark.connect({"host": "127.0.0.1", "port": 1, "location": location})
        assert caught.value.kind is ErrorKind.INVALID_SETTINGS
    with pytest.raises(WarehouseError) as caught:
        spark.connect({"host": "127.0.0.1", "port": 1, "connect_seconds": 0.1, "location": "/x"})
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert "127.0.0.1:1" in caught.value.message


@pytest.mark.parametrize("name", ["my tables", "a%20b", "täbles", "a*", "a~b", "a#b"])
def test_a_folder_that_sail_would_take_for_another_one_is_refused(
    settings: dict[str, Any], location: str, name: str
) -> None:
    with pytest.raises(WarehouseError, match="would use another folder") as caught:
        spark.connect({**settings, "location": f"{location}/{name}"})
    assert caught.value.kind is ErrorKind.INVALID_SETTINGS
    assert not Path(location, name).exists()


def test_a_folder_with_other_signs_is_the_same_for_sail(
    settings: dict[str, Any], location: str
) -> None:
    folder = f"{location}/a_.,:;=@+!$&()'-b"
    warehouse = spark.connect({**settings, "location": folder})
    with contextlib.closing(warehouse), session_of(warehouse) as session:
        session.prepare(["s"])
        assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
        assert session.query("select n from s.t")[1] == [("new",)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("1 as a, null as n", "`n` holds NULL only"),
        ("1 as a, named_struct('x', null) as s", "`s` holds NULL only"),
        ("1 as a, 2 as a", "two columns are named `a`"),
        ("interval '1' day as i", "`i` has the type interval day"),
    ],
)
def test_a_column_that_no_table_can_have_is_named(
    session: spark.SparkSession, columns: str, said: str
) -> None:
    error = run(session, replace(TASK, content=Query(f"select {columns}")), Stop()).error
    assert error is not None
    assert said in error.message.splitlines()[0]


def test_a_field_may_be_named_like_a_type_that_no_table_can_have(
    session: spark.SparkSession,
) -> None:
    made = "named_struct('void', 1, 'interval', 2) as s, 3 as void"
    create(session, "table", f"select {made}")
    assert session.query("select s.void, s.`interval`, void from s.t")[1] == [(1, 2, 3)]
    error = run(session, replace(TASK, content=Query(f"select {made}, null as n")), Stop()).error
    assert error is not None
    assert error.message.startswith("the column `n` holds NULL only")


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select `a`, t.`b`, 1 as `c`, `d`.e from `s`.`t`", ["`a`"]),
        ("select '`a`', `b``c` -- `d`\n, /* `e` */ f(`g`)", ["`b``c`", "`g`"]),
        ("select a from b", []),
    ],
)
def test_names_in_backquotes_that_stand_alone(sql: str, names: list[str]) -> None:
    assert lone_names(sql) == names


@pytest.mark.parametrize(
    "query",
    [
        "select `current_date` from (select 'x' as `current_date`)",
        "select 1 as n from (select 'x' as `null`) where `null` = 'x'",
        "select `1` as n from (select 'x' as `1`)",
        "select `a.b` as n from (select 'x' as `a.b`)",
    ],
)
def test_a_view_whose_names_the_server_would_lose_is_refused(
    session: spark.SparkSession, way: str, query: str
) -> None:
    """Sail would show today's date, NULL and 1 instead. Spark's own server keeps the text."""
    assert run(session, replace(TASK, materialization=View()), Stop()).error is None
    task = replace(TASK, attempt=2, content=Query(query), materialization=View())
    error = run(session, task, Stop()).error
    if way == "apache":
        assert error is None
        assert session.query("select * from s.t") == session.query(query)
        return
    assert error is not None
    assert error.name == "BackquotesLost"
    assert session.query("select n from s.t")[1] == [("new",)]


@pytest.mark.parametrize(
    ("refused", "name"), [("dagster_models_names", "Refused"), ("`user`", "BackquotesLost")]
)
def test_a_server_that_refuses_views_is_not_said_to_lose_backquotes(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch, refused: str, name: str
) -> None:
    send = session.server.command

    def command(sql: str, *more: Any) -> None:
        if "dagster_models_names" in sql and refused in sql:
            raise WarehouseError(ErrorKind.PERMISSION, "no right to create views", name="Refused")
        send(sql, *more)

    monkeypatch.setattr(session.server, "command", command)
    query = Query("select `user` from (select 'x' as `user`)")
    error = run(session, replace(TASK, content=query, materialization=View()), Stop()).error
    assert error is not None
    assert error.name == name
    assert "no right to create views" in error.message


@pytest.mark.parametrize(
    "query",
    [
        "select t.`current_date` as n from (select 'x' as `current_date`) as t",
        "select `n` from (select 'x' as `n`)",
        "select 'x' as `user`",
        "select n from (select 'x' as n) as `t`",
    ],
)
def test_a_view_with_other_names_in_backquotes_is_built(
    session: spark.SparkSession, query: str
) -> None:
    task = replace(TASK, content=Query(query), materialization=View())
    assert run(session, task, Stop()).error is None
    assert session.query("select * from s.t")[1] == [("x",)]


def test_comments_are_those_of_the_last_publication_for_every_process(
    session: spark.SparkSession, settings: dict[str, Any]
) -> None:
    said = Extras(comment="It's \\ words", column_comments={"N": "a 'number'"})
    assert run(session, replace(TASK, extras=said), Stop()).verdict is Verdict.COMMITTED
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        for reader in (session, other):
            rows = reader.execute("describe table extended s.t")
            assert ("n", "string", "a 'number'") in rows
            assert ("Comment", "It's \\ words") in [row[:2] for row in rows]
    assert run(session, replace(TASK, attempt=2, extras=Extras()), Stop()).error is None
    assert "words" not in str(session.execute("describe table extended s.t"))


def test_a_view_of_somebody_else_is_not_replaced_by_what_others_publish_here(
    session: spark.SparkSession, settings: dict[str, Any], way: str
) -> None:
    """As on a catalog that lasts, when a location is used for the first time."""
    if way == "apache":
        pytest.skip("all sessions have the same catalog")
    session.execute("create view s.t as select 'theirs' as n")
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        other.prepare(["s"])
        assert run(other, TASK, Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [("theirs",)]
    error = run(session, replace(TASK, attempt=2), Stop()).error
    assert error is not None
    assert error.name == "ForeignRelation"
    session.execute("drop view s.t")
    assert session.query("select n from s.t")[1] == [("new",)]


def test_nothing_is_written_while_only_reading_is_allowed(session: spark.SparkSession) -> None:
    create(session, "table", "select 'old' as n")
    session.begin_reading()
    for sql in ("create table s.u as select 1 as n", "drop view s.t", "insert into s.t select 'x'"):
        with pytest.raises(WarehouseError):
            session.execute(sql)
    assert session.execute("select n from s.t") == [("old",)]
    session.rollback()
    session.execute("create view s.u as select 1 as n")
    assert session.query("select n from s.u")[1] == [(1,)]
