"""diff: what it prints, and that it leaves the git repository as it was."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

import warm_python
from cli_cases import FILES, git, run
from commands import DAGSTER
from dagster_models import load_project
from running import make_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project in a folder of a repository, all of it committed."""
    project = make_project(tmp_path / "repository", FILES)
    git(project.root.parent, "init", "--quiet", "--initial-branch", "main")
    git(project.root.parent, "add", "-A")
    git(project.root.parent, "commit", "--quiet", "-m", "first")
    return project.root


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")


def printed(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(root, "diff", *arguments) == 0
    return capsys.readouterr().out.splitlines()


def compared(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    result: dict[str, object] = json.loads("\n".join(printed(root, capsys, "--format", "json")))
    return result


def test_nothing_changed_in_meaning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/marts/ids.sql": "-- why\nSELECT ID FROM stg;"})
    (line,) = printed(root, capsys)
    assert line.startswith("No model changed in meaning since HEAD (")
    assert printed(root, capsys, "--select") == []


def test_a_changed_expression(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FILES["models/marts/sums.sql"].replace("max(paid)", "min(paid)")
    write(root, {"models/marts/sums.sql": text})
    lines = printed(root, capsys)
    assert lines[0].endswith(": 1 changed")
    # Nothing is made of `paid`, and no row depends on it.
    assert lines[2:] == [
        "~ marts.sums (models/marts/sums.sql)",
        "    ~ paid: its expression",
    ]


def test_a_change_reaches_what_is_made_of_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILES["models/staging/stg.sql"].replace("id,", "id + 0.5 as id,") + " -- changed"
    write(root, {"models/staging/stg.sql": text, "models/marts/new.sql": "select 1 as x"})
    assert printed(root, capsys)[1:] == [
        "",
        "+ marts.new (models/marts/new.sql)",
        "~ staging.stg (models/staging/stg.sql)",
        "    ~ id: its expression, INTEGER -> ?",
        "",
        "Downstream of it:",
        "  marts.ids: id",
        "  marts.code: all of it",
        "  marts.sums: all of it",  # it groups by id
        "  marts.big: all of it",
    ]


def test_rows_types_and_columns(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        root,
        {
            "models/marts/sums.sql": "select id, sum(amount) as total, 1 as extra from stg"
            " where paid group by id",
            "models/sources.yaml": FILES["models/sources.yaml"].replace("double", "float"),
        },
    )
    result = compared(root, capsys)
    assert result["changes"] == [
        {
            "model": "marts.sums",
            "change": "changed",
            "file": "models/marts/sums.sql",
            "was": None,
            "rows": True,
            "whole": False,
            "columns": [
                {"name": "extra", "change": "added", "before": "", "after": "INTEGER"},
                {"name": "paid", "change": "removed", "before": "BOOLEAN", "after": ""},
            ],
        }
    ]
    assert result["affected"] == {"marts.big": ["*"]}
    assert result["selection"] == 'key:"marts/sums"+'


def test_renamed_and_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "models/marts/ids.sql").rename(root / "models/marts/idents.sql")
    (root / "models/marts/code.py").unlink()
    assert printed(root, capsys)[2:] == [
        "> marts.idents (models/marts/idents.sql, was marts.ids)",
        "- marts.code (models/marts/code.py)",
    ]


def test_a_commit_as_it_was(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/marts/ids.sql": "select id from stg where paid"})
    git(root, "commit", "--quiet", "-am", "second")
    assert printed(root, capsys)[0].startswith("No model changed")
    assert printed(root, capsys, "HEAD~1")[2:] == [
        "~ marts.ids (models/marts/ids.sql)",
        "    ~ which rows it has",
        "",
        "Downstream of it:",
        "  marts.code: all of it",
    ]


def test_the_checkout_stays_as_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = root.parent
    # An attribute that hides files from `git archive`, and a staged change.
    write(top, {".gitattributes": "*.sql export-ignore\n"})
    git(top, "add", "-A")
    write(root, {"models/marts/ids.sql": "select id from stg where paid"})
    before = {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}
    assert len(printed(root, capsys)) == 7
    shutil.rmtree(root / "target", ignore_errors=True)
    after = {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}
    assert after == before
    assert git(top, "worktree", "list").count("\n") == 1


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("mian", "git does not know the commit 'mian'; did you mean main?"),
        ("--help", "git does not know the commit '--help'"),
        ("HEAD~7", "git does not know the commit 'HEAD~7'"),
        ("HEAD:project/dagster_models.yaml", "git does not know the commit"),
        ("", "git does not know the commit ''"),
    ],
)
def test_an_unknown_commit(
    ref: str, words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "diff", "--", ref) == 1
    assert words in capsys.readouterr().err


def test_a_shallow_clone_says_that_it_is_one(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, {"models/marts/ids.sql": "select id from stg where paid"})
    git(root, "commit", "--quiet", "-am", "second")
    source = f"file://{root.parent}"
    git(tmp_path, "clone", "--quiet", "--depth", "1", source, str(tmp_path / "shallow"))
    shallow = tmp_path / "shallow" / root.name
    assert printed(shallow, capsys)[0].startswith("No model changed")
    assert run(shallow, "diff", "HEAD~1") == 1
    assert "git fetch --unshallow" in capsys.readouterr().err


def test_a_repository_without_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path / "repository", FILES)
    git(project.root, "init", "--quiet")
    assert run(project.root, "diff") == 1
    assert "no commit yet" in capsys.readouterr().err


def test_in_a_hook_of_git(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git tells its hooks where its folder is: a git command in a hook would use that folder."""
    write(root, {"models/marts/ids.sql": "select id from stg where paid"})
    plain = printed(root, capsys)
    monkeypatch.setenv("GIT_DIR", str(root.parent / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(root.parent / ".git" / "index"))
    assert printed(root, capsys) == plain


def test_no_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    project = make_project(tmp_path, FILES)
    assert run(project.root, "diff") == 1
    assert "is not in a git repository" in capsys.readouterr().err


def test_a_version_in_which_a_file_is_wrong(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/marts/ids.sql": "select from from"})
    changed = ["~ marts.ids (models/marts/ids.sql)", "    ~ its contents"]
    assert printed(root, capsys)[2:4] == changed, "it is wrong now"
    git(root, "commit", "--quiet", "-am", "broken")
    (line,) = printed(root, capsys)
    assert line.startswith("No model changed"), "it is as wrong as before"
    write(root, {"models/marts/ids.sql": FILES["models/marts/ids.sql"]})
    assert printed(root, capsys)[2:4] == changed, "it was wrong before"


def test_an_older_version_that_does_not_load(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (root / "dagster_models.yaml").read_text()
    write(root, {"dagster_models.yaml": f"{settings}\nkye: 1\n"})
    git(root, "commit", "--quiet", "-am", "broken")
    write(root, {"dagster_models.yaml": settings})
    assert run(root, "diff") == 1
    error = capsys.readouterr().err
    assert error.startswith("the project at HEAD does not load: 1 problem")
    assert "unknown key `kye`" in error


def test_what_cannot_be_narrowed_down(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = FILES["models/marts/code.py"].replace("id from", "id + 1 from")
    header = "/* @model materialized: view */ "
    write(root, {"models/marts/code.py": code})
    write(root, {"models/marts/ids.sql": header + FILES["models/marts/ids.sql"]})
    assert printed(root, capsys)[2:] == [
        "~ marts.ids (models/marts/ids.sql)",
        "    ~ its contents",
        "~ marts.code (models/marts/code.py)",
        "    ~ its contents",
    ]


def test_an_older_version_with_an_unknown_column(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What check would refuse can still be compared with."""
    write(root, {"models/marts/ids.sql": "select idd as id from stg"})
    git(root, "commit", "--quiet", "-am", "a typo")
    write(root, {"models/marts/ids.sql": FILES["models/marts/ids.sql"]})
    assert "    ~ id: its expression, ? -> INTEGER" in printed(root, capsys)


def test_a_project_that_the_commit_does_not_have(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_project(root.parent / "other", {"models/a.sql": "select 1 as x"})
    assert printed(other.root, capsys)[2:] == ["+ main.a (models/a.sql)"]


def test_dagster_accepts_the_selection(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/marts/sums.sql": "select id, 1 as total, paid from stg"})
    (root / "models/marts/ids.sql").unlink()
    write(root, {"models/marts/code.py": FILES["models/marts/code.py"].replace("ids", "stg")})
    (text,) = printed(root, capsys, "--select")
    graph = load_project(root).resolve_asset_graph()
    selected = dg.AssetSelection.from_string(text).resolve(graph)
    assert {key.to_user_string() for key in selected} == {"marts/sums", "marts/big", "marts/code"}
    (ops,) = printed(root, capsys, "--ops")
    job = load_project(root).resolve_job_def("test")
    chosen = job.get_subset(op_selection=ops.split(","))
    assert {node.name for node in chosen.nodes} == {"marts__sums", "marts__big", "marts__code"}


def test_the_selection_has_the_keys_of_a_translator(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, {"models/marts/sums.sql": "select id, 1 as total, paid from stg"})
    (root / "moved.py").write_text(
        "import dagster as dg, dagster_models\n"
        "class Moved(dagster_models.ModelsTranslator):\n"
        "    def get_asset_spec(self, *what):\n"
        "        spec = super().get_asset_spec(*what)\n"
        "        return spec.replace_attributes(key=['all', *spec.key.path])\n"
        "defs = dagster_models.load_project('.', translator=Moved())\n"
    )
    monkeypatch.chdir(root)
    (text,) = printed(root, capsys, "--select", "--definitions", "moved")
    graph = sys.modules["moved"].defs.resolve_asset_graph()
    selected = dg.AssetSelection.from_string(text).resolve(graph)
    assert {key.to_user_string() for key in selected} == {"all/marts/sums", "all/marts/big"}
    assert printed(root, capsys, "--ops", "--definitions", "moved") == ["all__marts__sums*"]
    assert run(root, "diff", "--select", "--definitions", "json") == 1
    assert "json has no Definitions with assets of the project" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_runs_what_changed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/marts/ids.sql": "select 7 as id"})
    (ops,) = printed(root, capsys, "--ops")
    with_home = {**os.environ, "DAGSTER_HOME": str(root.parent)}
    command = [DAGSTER, "job", "execute", "-f", "definitions.py", "-j", "test"]
    done = warm_python.run([*command, "--op-selection", ops], root, with_home, timeout_seconds=100)
    assert "1 of 2 OK table marts.ids" in done.stdout + done.stderr
    assert "TOTAL=2" in done.stdout + done.stderr


# --- what a change reaches though no text says so ----------------------------------------------


def changed(
    root: Path, capsys: pytest.CaptureFixture[str], files: Mapping[str, tuple[str, str]]
) -> Any:
    """What diff reports once each of *files* has its second text instead of its first."""
    (root / "models/more").mkdir(exist_ok=True)
    for number in (0, 1):
        texts = {f"models/more/{name}.sql": both[number] for name, both in files.items()}
        write(root, texts)
        if not number:
            git(root, "add", "-A")
            git(root, "commit", "--quiet", "-m", "before")
    return compared(root, capsys)


@pytest.mark.parametrize(
    ("reader", "affected"),
    [
        ("select * from m", ["b"]),
        ("select distinct * from m", ["*"]),
        ("select m.a from m natural join (select 2 as b)", ["*"]),
        ("select * from m union all by name select 1 as a, 2 as b", ["b"]),
        ("select 1 as c, to_json(m) as j from m", ["j"]),
        ("select 1 as c, (select b from m) as d from (select 3 as b)", ["d"]),
        ("select columns('a|b') from m", ["b"]),
        ("select a from m", []),
    ],
)
def test_a_removed_column_reaches_readers_that_do_not_name_it(
    root: Path, capsys: pytest.CaptureFixture[str], reader: str, affected: list[str]
) -> None:
    m = ("select 1 as a, 2 as b", "select 1 as a")
    result = changed(root, capsys, {"m": m, "n": (reader, reader)})
    assert result["affected"] == ({"more.n": affected} if affected else {})


def test_a_column_in_another_case_reaches_its_readers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = "select to_json(m) as j from m"
    m = ("select 1 as Total, 2 as b", "select 1 as total, 2 as b")
    result = changed(root, capsys, {"m": m, "n": (reader, reader)})
    assert result["affected"] == {"more.n": ["j"]}


R = "with recursive r (k, v) using key ({key}) as (select id, amount from raw.orders union"
SEES_NOTHING = [
    (R + " select k, v + 1 from r where v < 5) select k, v, {n} as o from r", "k", "v"),
    ("select to_json({{{key}: 1}}) as j, {n} as o", "A", "a"),
    ("{key} select id, {n} as o from raw.orders", "/* @model materialized: view */", ""),
    ("/* @model vars: {{x: {key}}} */ select $x as i, {n} as o from raw.orders", "1", "2"),
    ("select {key}, {n} as o from raw.orders", "id, amount", "amount, id"),
]


@pytest.mark.parametrize(("text", "one", "two"), SEES_NOTHING)
def test_what_no_trace_shows_is_not_hidden_by_another_change(
    root: Path, capsys: pytest.CaptureFixture[str], text: str, one: str, two: str
) -> None:
    texts = text.format(key=one, n=1), text.format(key=two, n=2)
    result = changed(root, capsys, {"m": texts})
    [change] = result["changes"]
    assert change["whole"] or change["rows"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "select id, sum(amount) as s from c group by id",
            "select id, round(sum(amount), 2) as s from c group by id",
        ),
        ("select id, amount + 1 as s from c", "SELECT id, -- a comment\n amount + 2 AS s FROM c"),
        (
            "select id, x as s from (select id, amount as x from c)",
            "select id, y as s from (select id, amount as x, amount * 2 as y from c)",
        ),
        (
            "with d as (select id, 1 as s from c) select * from d",
            "with d as (select id, 2 as s from c) select * from d",
        ),
    ],
)
def test_a_change_that_the_traces_show_stays_narrow(
    root: Path, capsys: pytest.CaptureFixture[str], before: str, after: str
) -> None:
    c = "select id, amount from raw.orders"
    result = changed(root, capsys, {"m": (before, after), "c": (c, c)})
    [change] = result["changes"]
    assert [column["name"] for column in change["columns"]] == ["s"]
    assert not change["whole"]
    assert not change["rows"]


@pytest.mark.parametrize(
    "reader",
    [
        'select "2" from m pivot (sum(p) for b in (2))',
        "select b from (select unnest(string_split(a, 'x')) as t, b from m)",
        "select k from (select a, b, p from m) unpivot (v for k in (a, b::varchar))",
        "select b from (select a, b from m union all select 'a', 1 order by a limit 1)",
        "select b from ((select a, b from m) order by a limit 1)",
    ],
)
def test_a_column_that_decides_the_rows_of_its_readers(
    root: Path, capsys: pytest.CaptureFixture[str], reader: str
) -> None:
    m = ("select 'a' as a, 2 as b, 3 as p", "select 'ax' as a, 2 as b, 3 as p")
    result = changed(root, capsys, {"m": m, "n": (reader, reader)})
    assert result["affected"] == {"more.n": ["*"]}


def test_what_a_target_attaches(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its paths start at the project's folder, and the commit that is compared is in another."""
    database = root.parent.parent / "crm.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create table c as select 1 as id")
    settings = (root / "dagster_models.yaml").read_text("utf-8")
    attached = settings.replace("threads: 2", "attach: {crm: ../../crm.duckdb}")
    assert attached != settings
    files = {
        "dagster_models.yaml": attached,
        "models/crm.yaml": "sources: [{name: crm, catalog: crm, schema: main, tables: [c]}]",
        "models/marts/customers.sql": "select id from crm.main.c",
    }
    write(root, files)
    git(root.parent, "add", "-A")
    git(root.parent, "commit", "--quiet", "-m", "attached")
    assert printed(root, capsys)[0].startswith("No model changed in meaning")
    write(root, {"models/marts/customers.sql": "select id + 1 as id from crm.main.c"})
    assert printed(root, capsys)[2:] == [
        "~ marts.customers (models/marts/customers.sql)",
        "    ~ id: its expression",
    ]
