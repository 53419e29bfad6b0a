"""Statements, grants, indexes and comments when the project is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.extras import Extras, Index, UserStatement
from dagster_models.core.model import Key
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ProjectError
from dagster_models.project.targets import usable_target
from project_cases import make, report_of, write_project

TARGETS = """name: p
target: {0}
targets:
  dev: {{type: duckdb, path: w.duckdb, schema_prefix: me_}}
  prod: {{type: postgres, host: localhost}}
"""


def model(header: str, sql: str = "select 1 as a, 2 as b") -> str:
    return f"/* @model\nmaterialized: table\n{header}\n*/\n{sql}"


def extras_of(project: Any, name: str, target: str | None = None) -> Extras:
    step = project.steps[Key.__call__(*name.split("."))]
    task = task_for(TargetStep(project, step, usable_target(project, target)), "r", 1)
    assert isinstance(task, BuildTask)
    return task.extras


def version(tmp_path: Path, header: str) -> str:
    files = {
        "dagster_models.yaml": TARGETS.format("prod"),
        "models/audit.sql": "select 1 as n",
        "models/a.sql": model(header),
    }
    project = make(tmp_path, files)
    return project.steps[Key("main", "a")].code_version


def test_statements_are_sent_with_names_and_variables_filled_in(tmp_path: Path) -> None:
    header = """vars: {year: 2013}
pre_statements: "delete from log.runs where year = $year"
post_hook:
  - |
    insert into log.runs
    select $year, count(*) from marts.a join stg on true;
  - {sql: "select 1", transaction: true}"""
    files = {
        "dagster_models.yaml": TARGETS.format("dev")
        + "models:\n  marts:\n    +post-hook: analyze $this\n",
        "models/marts/a.sql": model(header),
        "models/staging/stg.sql": "select 1 as c",
    }
    project = make(tmp_path, files)
    assert project.warnings == ()
    step = project.steps[Key("marts", "a")]
    assert [str(key) for key in step.upstream] == ["staging.stg"]
    extras = extras_of(project, "marts.a")
    assert extras.before == (
        UserStatement("delete from log.runs where year = 2013", "pre_statements", "", 4),
    )
    assert extras.after == (
        UserStatement('analyze "me_marts"."a"', "post_statements", "dagster_models.yaml", 8),
        UserStatement(
            "insert into log.runs\n"
            'select 2013, count(*) from "me_marts"."a" join "me_staging"."stg" on true\n',
            "post_statements",
            "",
            7,
        ),
        UserStatement("select 1", "post_statements", "", 9),
    )


REFUSED = [
    "commit",
    "rollback",
    "begin",
    "end",
    "abort",
    "savepoint x",
    "vacuum",
    "checkpoint",
    "attach 'x.db'",
    "detach x",
    "copy marts.a to 'x.csv'",
    "set threads = 1",
    "pragma threads = 1",
    "use other",
    "call pragma_version()",
    "install httpfs",
    "load httpfs",
    "export database 'x'",
    "create temp table x as select 1",
    "create schema x",
    "create index concurrently i on marts.a (a)",
    "drop schema x",
    "alter database x set y = 1",
    "grant select on marts.a to r",
    "do $$ begin commit; end $$",
    "execute x",
    "prepare transaction 'x'",
    "discard all",
    "lock table marts.a",
    "explain analyze delete from marts.a",
    "select 1; commit",
    "select 1; select 2",
    "-- nothing",
    "{{ vacuum() }}",
]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("sql", REFUSED)
def test_what_a_rollback_would_not_undo_is_refused(tmp_path: Path, sql: str, dialect: str) -> None:
    header = f"post_statements:\n  - select 1\n  - |\n    -- first\n    {sql}"
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}\n",
        "models/marts/a.sql": model(header),
    }
    report = report_of(write_project(tmp_path, files))
    assert "models/marts/a.sql:7:" in report or "models/marts/a.sql:6:" in report
    assert "error: `post_statements`: " in report


ALLOWED = [
    "select 1",
    "with x as (select 1 as i) select * from x",
    "values (1)",
    "insert into log.t values (1)",
    "update log.t set i = 1",
    "delete from log.t",
    "truncate table log.t",
    "create table if not exists log.t (i int)",
    "create or replace view log.v as select 1 as i",
    "create index if not exists i on log.t (i)",
    "create sequence log.s",
    "drop table if exists log.t",
    "drop index log.i",
    "alter table log.t add column j int",
    "comment on table log.t is 'x'",
    "analyze log.t",
    "merge into log.t using (select 1 as i) s on t.i = s.i when matched then delete",
]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("sql", ALLOWED)
def test_what_a_rollback_undoes_is_allowed(tmp_path: Path, sql: str, dialect: str) -> None:
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}\nunknown_references: ignore\n",
        "models/marts/a.sql": model(f"pre_statements: {sql!r}".replace("'", '"', 0)),
    }
    files["models/marts/a.sql"] = model(f"pre_statements: |\n  {sql}")
    assert make(tmp_path, files).warnings == ()


def test_set_local_is_allowed_and_set_is_not(tmp_path: Path) -> None:
    base = "name: p\ndialect: postgres\n"
    files = {
        "dagster_models.yaml": base,
        "models/a.sql": model("pre_statements: set local work_mem = '64MB'"),
    }
    assert make(tmp_path, files).warnings == ()
    for sql in ("set work_mem = '64MB'", "set session work_mem = '64MB'", "reset all"):
        files["models/a.sql"] = model(f"pre_statements: {sql}")
        assert "error: `pre_statements`: " in report_of(write_project(tmp_path, files))


def test_outside_of_the_transaction_is_refused(tmp_path: Path) -> None:
    header = 'post_hook:\n  - {sql: "vacuum marts.a",\n     transaction: false}'
    report = report_of(write_project(tmp_path, {"models/a.sql": model(header)}))
    assert "models/a.sql:5:" in report
    assert "`transaction: false` is refused" in report


def test_what_they_write_and_read(tmp_path: Path) -> None:
    files = {
        "models/b.sql": model("", "select 1 as a"),
        "models/a.sql": model(
            "post_statements:\n  - delete from b\n  - insert into a select 1, 2\n"
            "  - insert into nowhere select * from other_table"
        ),
    }
    report = report_of(write_project(tmp_path, files))
    assert "models/a.sql:4:" in report
    assert "warning: main.a writes to main.b, which it does not build" in report
    assert "models/a.sql:6:" in report
    assert "`other_table` is not a model, seed or source" in report
    assert "`nowhere`" not in report


def test_a_variable_without_a_value(tmp_path: Path) -> None:
    files = {"models/a.sql": model("post_statements:\n  - select 1\n  - select $nothing")}
    report = report_of(write_project(tmp_path, files))
    assert "models/a.sql:5:1: error: the variable `nothing` has no value" in report


def test_the_code_version_counts_them(tmp_path: Path) -> None:
    versions = [
        version(tmp_path / str(at), case)
        for at, case in enumerate(
            [
                "",
                "pre_statements: select 1",
                "post_statements: select 1",
                "post_statements: select $v\nvars: {v: 1}",
                "post_statements: select $v\nvars: {v: 2}",
                "post_statements: delete from other",
                "post_statements: delete from audit",
                "grants: {select: [x]}",
                "grants: {select: []}",
                "indexes: [{columns: a}]",
                "indexes: [{columns: a, unique: true}]",
                "persist_docs: {relation: true}",
                "persist_docs: {relation: true}\ndescription: x",
                "persist_docs: {columns: true}\ncolumns: {a: {description: x}}",
            ]
        )
    ]
    assert len(set(versions)) == len(versions)
    # Its place, white space and comments do not count.
    same = version(tmp_path / "same", "\n\npost_statements:\n  - |\n    select   1 -- one")
    assert same == versions[2]
    plain = version(tmp_path / "plain", "description: x\ncolumns: {a: {description: x}}")
    assert plain == versions[0]


def test_grants_and_types_of_indexes_are_refused_where_the_warehouse_has_none(
    tmp_path: Path,
) -> None:
    header = "grants: {select: [reader]}\nindexes: [{columns: a, type: hash}]"
    files = {"dagster_models.yaml": TARGETS.format("dev"), "models/a.sql": model(header)}
    report = report_of(write_project(tmp_path / "dev", files))
    assert "models/a.sql:3:1: error: `grants`: the target `dev` cannot have this: DuckDB" in report
    assert "models/a.sql:4:1: error: `indexes`: the target `dev` cannot have this" in report
    files["dagster_models.yaml"] = TARGETS.format("prod")
    project = make(tmp_path / "prod", files)
    assert project.warnings == ()
    extras = extras_of(project, "main.a")
    assert extras.grants == {"select": ("reader",)}
    assert extras.indexes == (Index(("a",), type="hash"),)
    step = TargetStep(project, project.steps[Key("main", "a")], usable_target(project))
    with pytest.raises(ProjectError, match="the target `dev` cannot have this: DuckDB"):
        step.on("dev")


LAKE = "name: p\ntargets:\n  lake: {type: spark, location: /lake}\n"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("materialized: table\npost_statements: [select 1]", "post_statements"),
        ("materialized: table\nindexes: [{columns: a}]", "indexes"),
        (
            "materialized: incremental\nunique_key: a\nmerge_update_columns: b",
            "merge_update_columns",
        ),
    ],
)
def test_what_spark_has_not_is_refused_when_the_project_is_loaded(
    tmp_path: Path, header: str, key: str
) -> None:
    text = f"/* @model\n{header}\n*/\nselect 1 as a, 2 as b"
    report = report_of(write_project(tmp_path, {"dagster_models.yaml": LAKE, "models/a.sql": text}))
    assert f"error: `{key}`: the target `lake` cannot have this: " in report
    assert "models/a.sql:" in report


def test_a_token_in_plain_text_is_refused(tmp_path: Path) -> None:
    yaml = LAKE.replace("location", "token: abc, location")
    report = report_of(write_project(tmp_path, {"dagster_models.yaml": yaml}))
    assert "`token` contains a password as plain text" in report
    assert "abc" not in report


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("grants: {reed: [x]}", "`reed` is no privilege on a table"),
        ("grants: [x]", "expected privileges"),
        ("indexes: [{columns: [a, zz]}]", "`indexes` names `zz`, a column that main.a does not"),
        ("indexes: [{unique: true}]", "an index needs `columns`"),
        ("indexes: [{columns: a}, {columns: a}]", "an index is listed twice"),
        ("indexes: [{columns: a, kind: x}]", "unknown key `kind`"),
        ("indexes: {columns: a}", "expected a list"),
        ("persist_docs: {tables: true}", "unknown key `tables`"),
        ("persist_docs: true", "expected keys and values"),
        ("pre_statements: [1]", "expected text"),
        ("pre_statements: ['']", "expected a statement, got an empty text"),
        ("pre_statements: [{text: x}]", "unknown key `text`"),
        ("export: ../a", "leads out of the project's folder"),
        ("export: models/a.csv", "is no place for an export"),
        ("export: out/a.json", "`out/a.json` is no name of a file or folder that an export writes"),
        ("export: out/a.csv.gz", "End it in .parquet or .csv for one file, or name a folder"),
        ("export: out/a.csv/", "is no name of a file or folder"),
        ("export: {path: out/a.csv, format: parquet}", "Delete `format`, or name a folder"),
        ("export: {path: out/a.csv, partition_by: a}", "name a folder, such as `out/a`."),
    ],
)
def test_bad_values(tmp_path: Path, header: str, what: str) -> None:
    report = report_of(write_project(tmp_path, {"models/a.sql": model(header)}))
    assert "models/a.sql:3:" in report
    assert what in report


@pytest.mark.parametrize(
    ("header", "format_", "file"),
    [
        ("export: out/a", "parquet", ""),
        ("export: out/v1.2", "parquet", ""),
        ("export: {path: out/a, format: csv}", "csv", ""),
        ("export: out/a.csv", "csv", "data.csv"),
        ("export: {path: out/$target.csv}", "csv", "data.csv"),
        ("export: {path: out/a.PARQUET, format: parquet, keep: 3}", "parquet", "data.parquet"),
    ],
)
def test_a_path_says_whether_an_export_is_one_file(
    tmp_path: Path, header: str, format_: str, file: str
) -> None:
    files = {"dagster_models.yaml": TARGETS.format("dev"), "models/a.sql": model(header)}
    export = extras_of(make(tmp_path, files), "main.a").export
    assert export is not None
    assert (export.format, export.file) == (format_, file)


def test_a_view_has_no_indexes(tmp_path: Path) -> None:
    text = "/* @model\nindexes: [{columns: a}]\n*/\nselect 1 as a"
    report = report_of(write_project(tmp_path, {"models/a.sql": text}))
    assert "models/a.sql:2:1: error: `indexes`: a view has none" in report


def test_seeds_and_python_models_have_them_too(tmp_path: Path) -> None:
    code = '"""\n@model\npost_statements: delete from log.t\nindexes: [{columns: a}]\n"""\n'
    code += "def model(warehouse):\n    return None\n"
    files = {
        "dagster_models.yaml": "name: p\nseeds: {post_statements: analyze seeds.s}\n",
        "models/sources.yaml": "sources: [{name: log, tables: [t]}]",
        "models/a.py": code,
        "seeds/s.csv": "a\n1\n",
    }
    project = make(tmp_path, files)
    a, s = project.steps[Key("main", "a")], project.steps[Key("seeds", "s")]
    assert [it.sql for it in a.config.post_statements] == ["delete from log.t"]
    assert a.config.post_statements[0].line == 3
    assert [it.sql for it in s.config.post_statements] == ["analyze seeds.s"]
    files["dagster_models.yaml"] = "name: p\n"
    other = make(tmp_path / "other", files).steps[Key("seeds", "s")]
    assert other.code_version != s.code_version
