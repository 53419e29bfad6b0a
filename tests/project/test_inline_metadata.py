"""The packages that a script names in its PEP 723 block, as they are read and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.core.model import Key, Step
from dagster_models.errors import ProjectError
from project_cases import make

PATH = "scripts/report.py"


def step_of(tmp_path: Path, text: str) -> Step:
    files = {PATH: text, "models/marts/a.sql": "select 1 as n"}
    return make(tmp_path, files).steps[Key("scripts", "report")]


def block(*lines: str) -> str:
    return "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///", ""])


def test_the_dependencies_are_read_wherever_the_block_stands(tmp_path: Path) -> None:
    text = block(
        'requires-python = ">=3.10"', "dependencies = [", ' "polars>=1",', ' "arrow",', "]"
    )
    before = "#!/usr/bin/env -S uv run\n\n"
    for newline in ("\n", "\r\n"):
        environment = step_of(
            tmp_path, (before + text + "print(1)\n").replace("\n", newline)
        ).environment
        assert environment is not None
        assert (environment.dependencies, environment.line) == (("arrow", "polars>=1"), 3)


def test_dagster_models_itself_is_the_one_that_runs_the_project(tmp_path: Path) -> None:
    environment = step_of(tmp_path, block('dependencies = ["Dagster_Models>=9", "a"]')).environment
    assert environment is not None
    assert environment.dependencies == ("a",)


@pytest.mark.parametrize(
    "text",
    ["print(1)\n", "# /// other\n# a = 1\n# ///\n", "x = '''\n  # /// script\n'''\n"],
)
def test_most_scripts_have_no_environment(tmp_path: Path, text: str) -> None:
    assert step_of(tmp_path, text).environment is None


def test_the_code_version_counts_the_dependencies_and_not_their_order(tmp_path: Path) -> None:
    plain = step_of(tmp_path, "print(1)\n").code_version
    one = step_of(tmp_path, block('dependencies = ["a", "b"]') + "print(1)\n").code_version
    turned = step_of(tmp_path, block('dependencies = ["b", "a"]') + "print(1)\n").code_version
    other = step_of(tmp_path, block('dependencies = ["a", "b>1"]') + "print(1)\n").code_version
    assert one == turned
    assert len({plain, one, other}) == 3


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# /// script\n# dependencies = []\n", 1, "the block of dependencies is broken"),
        ("#/// script\n#dependencies = []\n#///\n", 1, "the block of dependencies is broken"),
        (block("a = 1") + "\n" + block("b = 1"), 5, "a second block of dependencies"),
        (block("dependencies = [", "  'a' 'b',", "]"), 3, "the script's dependencies: "),
        (block("dependencies = 'a'"), 2, "`dependencies` must be a list of texts"),
        (block("dependencies = [1]"), 2, "`dependencies` must be a list of texts"),
        (block("", 'dependencies = ["a", "b !"]'), 3, "'b !' is not a requirement"),
        (block("dependecies = ['a']"), 2, "`dependecies` is not a key of the block"),
        (block("requires-python = '>=4'"), 2, "it needs Python >=4, and the project runs on 3"),
        (block("requires-python = 'new'"), 2, "'new' is not a range of versions"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        step_of(tmp_path, text)
    (found,) = caught.value.problems
    assert (found.path, found.line) == (PATH, line)
    assert message in found.what
