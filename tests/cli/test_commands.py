"""check, lineage and ls: what they print of good and of wrong projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli_cases import FILES, run
from running import make_project

# --- check -----------------------------------------------------------------------------------

BROKEN = {
    "models/marts/bad.sql": "select id, nope from stg",
    "models/marts/odd.sql": "select 1 as x, 100 as y from nowhere",
}


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, {**FILES, **BROKEN})
    assert run(project.root, "check", "--format", "json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["errors"], report["warnings"]) == (1, 1)
    assert report["problems"][0] == {
        "severity": "error",
        "file": "models/marts/bad.sql",
        "line": 1,
        "column": 12,
        "message": "there is no column `nope`",
        "fix": "Columns are: id, amount, paid.",
    }


def test_check_as_annotations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"models/marts/a,b.sql": "select 1 as x", "models/marts/worse.sql": "select '50% from"}
    project = make_project(tmp_path, {**FILES, **BROKEN, **bad})
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert run(project.root, "check", "--format", "github") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "::error file=project/models/marts/bad.sql,line=1,col=12::there is no column `nope`"
        "%0AColumns are: id, amount, paid."
    )
    assert lines[0].startswith("::error file=project/models/marts/a%2Cb.sql,line=1,col=1::`a,b`")
    assert lines[2].startswith("::warning file=project/models/marts/odd.sql,line=1,col=30::")
    assert len(lines) == 4


def test_warnings_alone_are_not_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"models/marts/odd.sql": BROKEN["models/marts/odd.sql"]}
    project = make_project(tmp_path, {**FILES, **odd})
    for format_ in ("human", "json", "github"):
        assert run(project.root, "check", "--format", format_) == 0
        assert "nowhere" in capsys.readouterr().out


# --- lineage ---------------------------------------------------------------------------------


def test_lineage_of_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, FILES)
    assert run(project.root, "lineage", "stg.amount") == 0
    assert capsys.readouterr().out.splitlines() == [
        "staging.stg.amount DOUBLE",
        "",
        "made of",
        "└── raw.orders.amount double",
        "",
        "part of",
        "└── marts.sums.total DOUBLE",
        "    └── marts.big.twice DOUBLE",
    ]


def test_lineage_of_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = {
        "models/marts/wide.sql": "pivot stg on id using sum(amount)",
        "models/marts/two.sql": "select a.x, y from 'a.csv' as a, unknown_table as b",
    }
    project = make_project(tmp_path, {**FILES, **extra})
    assert run(project.root, "lineage", "marts.sums") == 0
    assert capsys.readouterr().out.splitlines() == [
        "marts.sums",
        "  id INTEGER <- staging.stg.id",
        "  total DOUBLE <- staging.stg.amount",
        "  paid BOOLEAN <- staging.stg.paid",
    ]
    assert run(project.root, "lineage", "wide") == 0
    reason = "not all columns are known: the columns that a PIVOT makes are not traced"
    assert reason in capsys.readouterr().out
    assert run(project.root, "lineage", "two") == 0
    assert (
        "y (`y` may be of `a` or `b`: not all their columns are known)" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sumz", "did you mean sums"),
        ("marts.sums.qqq", "marts.sums has no column 'qqq'; columns: id, total, paid"),
        ("marts.sums.totl", "marts.sums has no column 'totl'; did you mean total?"),
    ],
)
def test_lineage_of_what_is_not_there(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, FILES)
    assert run(project.root, "lineage", name) == 1
    assert message in capsys.readouterr().err


# --- one wrong file ---------------------------------------------------------------------------


def test_a_wrong_file_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"models/marts/wrong.sql": "select (", "models/marts/reads.sql": "select 1 from wrong"}
    project = make_project(tmp_path, {**FILES, **wrong})
    elsewhere = "The project has errors: `dagster-models check` reports them."
    assert run(project.root, "ls") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 7
    assert elsewhere in said.err
    assert run(project.root, "compile", "sums") == 0
    said = capsys.readouterr()
    assert said.out.startswith("select id, sum(amount)")
    assert elsewhere in said.err
    assert run(project.root, "lineage", "stg.amount") == 0
    assert "marts.sums.total" in capsys.readouterr().out
    for command in ("compile", "lineage"):
        assert run(project.root, command, "wrong") == 1
        said = capsys.readouterr()
        assert "models/marts/wrong.sql:1:" in said.err
        assert said.out == ""
    assert run(project.root, "diff") == 1


def test_ls_marks_a_wrong_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, {**FILES, **BROKEN})
    assert run(project.root, "ls") == 1
    marked = [it for it in capsys.readouterr().out.splitlines() if it.endswith("(broken)")]
    assert [line.split()[0] for line in marked] == ["marts.bad"]


@pytest.mark.parametrize("command", ["check", "ls", "lineage"])
def test_a_folder_that_does_not_exist_is_said_to_be_none(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "nowhere", command, *["x"] * (command == "lineage")) == 1
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert f"{tmp_path / 'nowhere'}:1:1: error: there is no such folder" in said
    assert "no models yet" not in said


@pytest.mark.parametrize("command", ["ls", "compile", "lineage"])
def test_a_wrong_project_file_is_all_that_is_reported(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, FILES)
    (project.root / "dagster_models.yaml").write_text("nome: test\n")
    assert run(project.root, *(command, "sums")[: 1 if command == "ls" else 2]) == 1
    assert "dagster_models.yaml:1:1: error: unknown key `nome`" in capsys.readouterr().err


def test_a_project_without_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, {})
    (project.root / "models").mkdir(exist_ok=True)
    assert run(project.root, "check") == 0
    assert "no models yet" in capsys.readouterr().out
    assert run(project.root, "ls") == 0
    assert "no models yet" in capsys.readouterr().err


# --- any reader -------------------------------------------------------------------------------


@pytest.mark.slow
def test_readers_that_leave_and_terminals_of_another_encoding(tmp_path: Path) -> None:
    extra = {"models/marts/u.sql": "select 1 as größe, 'ä' as name"}
    extra |= {f"models/marts/m{i}.sql": "select id from stg" for i in range(300)}
    root = make_project(tmp_path, {**FILES, **extra}).root
    command = [sys.executable, "-m", "dagster_models.cli", "--project", str(root)]

    def out(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        env = {**os.environ, **environment}
        return subprocess.run([*command, *arguments], env=env, capture_output=True, check=False)

    ascii_ = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    # What is sent to the warehouse stays what it is, in a file.
    assert out("compile", "u", **ascii_).stdout == "select 1 as größe, 'ä' as name\n".encode()
    done = out("lineage", "stg.id", PYTHONIOENCODING="ascii")
    assert b"|-- marts.ids.id INTEGER" in done.stdout
    assert done.stderr == b""
    done = out("compile", "u", PYTHONIOENCODING="ascii")
    assert done.stdout == b"select 1 as gr\\xf6\\xdfe, '\\xe4' as name\n"
    for arguments in (("ls",), ("lineage", "stg.id"), ("check",)):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [*command, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*command, "ls"], stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 1
        assert done.stderr == b"the output cannot be written: No space left on device\n"
